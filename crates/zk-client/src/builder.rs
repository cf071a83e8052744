//! How to connect, and how much may wait.

use std::time::Duration;

use zk_proto::{
    Acl, Resume,
    session::{AddAuth, AuthId, Session},
};

use crate::{
    client::Client,
    connector::{Connector, Tcp},
    error::Result,
    servers::{self, Servers},
    settings::Settings,
    task,
};

/// What a client wants, and its limits.
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
    create_chroot: Option<Vec<Acl<'static>>>,
}

/// An authentication; never printed.
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
    /// Settings to connect with.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Connects over TCP to the first of `host:port,host:port/chroot` that grants a session, with the settings of
    /// [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// As [`Builder::connect`].
    ///
    /// # Cancel safety
    ///
    /// As [`Builder::connect`].
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
        /// How long the server shall wait for a word from us before it ends the session; 10 s by default. Asked for at every
        /// connection anew. Servers grant what they think fit, usually 2 to 20 of their ticks:
        /// [`Client::session_timeout`].
        session_timeout: Duration;
        /// How long [`connect`](Self::connect) may take in all; 10 s by default. It does not bound the reconnecting of a session.
        connect_timeout: Duration;
        /// How long one address has to accept a connection, and then to grant the session, before the next one is tried; 3 s
        /// by default. While a session is at stake it is less: half of its timeout, divided by the number of addresses.
        server_timeout: Duration;
        /// Bytes of the largest request; 1 048 575 by default, as for servers (`jute.maxbuffer`), which close the
        /// connection over a larger one. Beyond: [`Error::RequestTooLarge`](crate::Error::RequestTooLarge).
        max_request: usize;
        /// Bytes of the largest reply; 4 MiB by default. It is larger than a request may be, because a node filled to the
        /// limit comes back with more around it, and a list of children has no limit of its own. A larger reply is
        /// skipped as it arrives: [`Error::ReplyTooLarge`](crate::Error::ReplyTooLarge).
        max_reply: usize;
        /// Bytes of requests that may wait to be sent; 16 MiB by default. Beyond:
        /// [`Error::OutboxFull`](crate::Error::OutboxFull).
        max_outbox: usize;
        /// Requests that may wait for their replies; 65 536 by default. Beyond:
        /// [`Error::TooManyRequests`](crate::Error::TooManyRequests).
        max_requests: usize;
        /// Events that may wait in one stream of a watch; 4 096 by default. Beyond, they are dropped, and the stream says
        /// [`Resync`](crate::WatchEvent::Resync).
        max_events: usize;
    }

    /// How long each request may take; not limited by default. Beyond:
    /// [`Error::TimedOut`](crate::Error::TimedOut). A request that is still waiting to be sent by then is never sent.
    #[must_use]
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.settings.request_timeout = Some(timeout);
        self
    }

    /// While there is no connection, requests fail at once with [`Error::ConnectionLost`](crate::Error::ConnectionLost), and
    /// those that were not sent when it was lost fail, too. By default they wait for the next connection of the session.
    #[must_use]
    pub const fn fail_fast(mut self) -> Self {
        self.settings.fail_fast = true;
        self
    }

    /// Tries the servers in the order in which they are written. By default they are shuffled, so that clients spread over
    /// the ensemble.
    #[must_use]
    pub const fn in_order(mut self) -> Self {
        self.settings.in_order = true;
        self
    }

    /// Proves an identity on every connection of the session: `digest` with `user:password`, or what the server has a plug-in
    /// for.
    #[must_use]
    pub fn auth(mut self, scheme: impl Into<String>, proof: impl AsRef<[u8]>) -> Self {
        self.auths.push(Secret { scheme: scheme.into(), proof: proof.as_ref().to_vec() });
        self
    }

    /// Creates the chroot of the connect string, and the nodes above it, where they do not exist, with this access control list.
    #[must_use]
    pub fn create_chroot(mut self, acl: &[Acl<'_>]) -> Self {
        self.create_chroot = Some(acl.iter().cloned().map(Acl::into_owned).collect());
        self
    }

    /// Goes on with a session that another client has [left](Client::detach). If it is over by then, connecting fails with
    /// [`Error::SessionExpired`](crate::Error::SessionExpired).
    #[must_use]
    pub fn resume(mut self, session: Resume) -> Self {
        self.resume = Some(session);
        self
    }

    /// Connects over TCP to the first of `host:port,host:port/chroot` that grants a session; the port is 2181 where none is
    /// given. Each address of each name is tried once.
    ///
    /// # Errors
    ///
    /// [`Error::ConnectString`](crate::Error::ConnectString), [`Error::NoServer`](crate::Error::NoServer) with what each
    /// server said, [`Error::SessionExpired`](crate::Error::SessionExpired), or
    /// [`Error::AuthFailed`](crate::Error::AuthFailed); or why the [chroot](Self::create_chroot) cannot be created.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt. A session that the server had just granted is closed.
    pub async fn connect(&self, servers: &str) -> Result<Client> {
        let servers = servers::parse(servers)?;
        self.start(Tcp, servers).await
    }

    /// Connects by `connector` to the first of `servers` that grants a session. Each of their addresses is tried once.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect); what a server's name looks like is for the connector to say.
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_with<C: Connector>(
        &self,
        connector: C,
        servers: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Client> {
        let names = servers.into_iter().map(Into::into).collect();
        self.start(connector, Servers { names, chroot: None }).await
    }

    async fn start<C: Connector>(&self, connector: C, servers: Servers) -> Result<Client> {
        let mut session = match &self.resume {
            Some(resume) => Session::resume(resume.clone()),
            None => Session::default(),
        }
        .with_timeout(self.settings.session_timeout);
        for (id, secret) in (0..).zip(&self.auths) {
            session.add_auth(&AddAuth { id: AuthId(id), scheme: &secret.scheme, secret: &secret.proof });
        }
        let client = task::connect(self.settings.clone(), connector, servers, session).await?;
        if let Some(acl) = &self.create_chroot {
            client.ensure_chroot(acl).await?;
        }
        Ok(client)
    }
}
