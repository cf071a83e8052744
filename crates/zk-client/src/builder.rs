//! How to connect, and the limits.

use std::{sync::Arc, time::Duration};

use zk_proto::{
    Acl, Resume,
    session::{AddAuth, AuthId, Session},
};

use crate::{
    client::Client,
    connector::{Connector, Tcp},
    error::Result,
    events::Subscriber,
    servers::{self, Servers},
    settings::Settings,
    task,
};

/// The settings and limits of a client.
///
/// ```no_run
/// # async fn example() -> zk_client::Result<()> {
/// use std::time::Duration;
/// use zk_client::Client;
///
/// let client = Client::builder()
///     .session_timeout(Duration::from_secs(30))
///     .connect_timeout(Duration::from_secs(5))
///     .request_timeout(Duration::from_secs(20))
///     .auth("digest", "user:password")
///     .connect("zk1:2181,zk2:2181,zk3:2181/my-app")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Builder {
    pub(crate) settings: Settings,
    auths: Vec<Secret>,
    resume: Option<Resume>,
    read_only: bool,
    create_chroot: Option<Vec<Acl<'static>>>,
}

/// An authentication. It is never printed.
#[derive(Clone)]
struct Secret {
    scheme: String,
    proof: Vec<u8>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl Client {
    /// Returns settings to connect with.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Connects over TCP to the first of `host:port,host:port/chroot` that grants a session, with the settings of
    /// [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// See [`Builder::connect`].
    ///
    /// # Cancel safety
    ///
    /// See [`Builder::connect`].
    pub async fn connect(servers: &str) -> Result<Self> {
        Self::builder().connect(servers).await
    }
}

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)+) => {$(
        $(#[$doc])*
        #[must_use]
        pub const fn $name(mut self, $name: $type) -> Self {
            self.settings.$name = $name;
            self
        }
    )+};
}

impl Builder {
    settings! {
        /// How long the server waits without hearing from us before it ends the session; 10 s by default. The client
        /// asks for it again at every connection. Servers grant a value within their own limits, usually 2 to 20 ticks:
        /// see [`Client::session_timeout`].
        session_timeout: Duration;
        /// The total time that [`connect`](Self::connect) may take; 10 s by default. It does not limit how long a
        /// session tries to reconnect.
        connect_timeout: Duration;
        /// How long one address has to accept a connection, and then again to grant the session, before the client
        /// tries the next one; 3 s by default. When the client reconnects, it allows less: half of the session timeout,
        /// divided by the number of addresses.
        server_timeout: Duration;
        /// The largest request in bytes; 1 048 575 by default, as for servers (`jute.maxbuffer`), which close the
        /// connection if they receive a larger one. A larger request fails with
        /// [`Error::RequestTooLarge`](crate::Error::RequestTooLarge).
        max_request: usize;
        /// The largest reply in bytes; 4 MiB by default. It exceeds the largest request, because a node filled to the
        /// limit comes back with a header and metadata, and a list of children has no limit of its own. The client
        /// skips a larger reply as it arrives, and the call fails with
        /// [`Error::ReplyTooLarge`](crate::Error::ReplyTooLarge).
        max_reply: usize;
        /// How many bytes of requests may wait to be sent; 16 MiB by default. Beyond that, requests fail with
        /// [`Error::OutboxFull`](crate::Error::OutboxFull).
        max_outbox: usize;
        /// How many requests may wait for their replies; 65 536 by default. Beyond that, requests fail with
        /// [`Error::TooManyRequests`](crate::Error::TooManyRequests).
        max_requests: usize;
        /// How many events may wait in one stream of a watch; 4 096 by default. Beyond that, events are dropped, and
        /// the stream yields [`Resync`](crate::WatchEvent::Resync).
        max_events: usize;
    }

    /// How long each request may take; unlimited by default. After that, it fails with
    /// [`Error::TimedOut`](crate::Error::TimedOut). A request that is not sent by then is never sent.
    #[must_use]
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.settings.request_timeout = Some(timeout);
        self
    }

    /// Makes requests fail at once with [`Error::ConnectionLost`](crate::Error::ConnectionLost) while there is no
    /// connection; requests that were not sent when it was lost fail, too. By default, they wait for the next
    /// connection of the session.
    #[must_use]
    pub const fn fail_fast(mut self) -> Self {
        self.settings.fail_fast = true;
        self
    }

    /// Accepts the session of a read-only server: one that has lost its quorum and still serves reads, if its configuration
    /// allows it (`readonlymode.enabled`, `localSessionsEnabled`). Changes are rejected there with `NotReadOnly`.
    /// [`Client::is_read_only`] says what kind of session this is.
    ///
    /// Such a session ends with its connection ([`Expiry::ReadOnly`](crate::Expiry::ReadOnly)): no other server knows it. With
    /// [`connect_renewing`](Self::connect_renewing) the next one may be that of a read-write server. A session that a read-write
    /// server granted is never given up for a read-only one.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Tries the servers in the order given. By default, the client shuffles them, so that clients spread over the
    /// ensemble.
    #[must_use]
    pub const fn in_order(mut self) -> Self {
        self.settings.in_order = true;
        self
    }

    /// Authenticates on every connection of the session: `digest` with `user:password`, or any scheme that the server
    /// has a plug-in for.
    #[must_use]
    pub fn auth(mut self, scheme: impl Into<String>, proof: impl AsRef<[u8]>) -> Self {
        self.auths.push(Secret { scheme: scheme.into(), proof: proof.as_ref().to_vec() });
        self
    }

    /// Creates the chroot of the connect string and its ancestors, if they do not exist, with this access control list.
    #[must_use]
    pub fn create_chroot(mut self, acl: &[Acl<'_>]) -> Self {
        self.create_chroot = Some(acl.iter().cloned().map(Acl::into_owned).collect());
        self
    }

    /// Continues a session that another client has [left](Client::detach). If the session has expired by then,
    /// connecting fails with [`Error::SessionExpired`](crate::Error::SessionExpired).
    #[must_use]
    pub fn resume(mut self, session: Resume) -> Self {
        self.resume = Some(session);
        self
    }

    /// Connects over TCP to the first of `host:port,host:port/chroot` that grants a session. The default port is 2181.
    /// Each address of each name is tried once.
    ///
    /// # Errors
    ///
    /// [`Error::ConnectString`](crate::Error::ConnectString), [`Error::NoServer`](crate::Error::NoServer) with the
    /// failure of each server, [`Error::SessionExpired`](crate::Error::SessionExpired),
    /// [`Error::AuthFailed`](crate::Error::AuthFailed), or the reason why the [chroot](Self::create_chroot) cannot be
    /// created.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt. If the server had just granted a session, it is closed.
    pub async fn connect(&self, servers: &str) -> Result<Client> {
        let servers = servers::parse(servers)?;
        self.start(Tcp, servers).await
    }

    /// Connects through `connector` to the first of `servers` that grants a session. Each of their addresses is tried
    /// once.
    ///
    /// # Errors
    ///
    /// See [`connect`](Self::connect). The connector decides what a server's name looks like.
    ///
    /// # Cancel safety
    ///
    /// See [`connect`](Self::connect).
    pub async fn connect_with<C: Connector>(
        &self,
        connector: C,
        servers: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Client> {
        let names = servers.into_iter().map(Into::into).collect();
        self.start(connector, Servers { names, chroot: None }).await
    }

    async fn start<C: Connector>(&self, connector: C, servers: Servers) -> Result<Client> {
        self.open(Arc::new(connector), servers, None).await
    }

    /// Opens one session. The subscriber, if there is one, hears of everything from the beginning.
    pub(crate) async fn open<C: Connector>(
        &self,
        connector: Arc<C>,
        servers: Servers,
        subscriber: Option<Subscriber>,
    ) -> Result<Client> {
        let mut session = match &self.resume {
            Some(resume) => Session::resume(resume.clone()),
            None => Session::default(),
        }
        .with_timeout(self.settings.session_timeout);
        if self.read_only {
            session = session.accepting_read_only();
        }
        for (id, secret) in (0..).zip(&self.auths) {
            session.add_auth(&AddAuth { id: AuthId(id), scheme: &secret.scheme, secret: &secret.proof });
        }
        let client = task::connect(self.settings.clone(), connector, servers, session, subscriber).await?;
        if let Some(acl) = &self.create_chroot {
            client.ensure_chroot(acl).await?;
        }
        Ok(client)
    }

    /// The same settings, for a session that is new.
    pub(crate) fn without_resume(mut self) -> Self {
        self.resume = None;
        self
    }
}
