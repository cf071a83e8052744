//! How to connect, and how much may wait.

use std::time::Duration;

use crate::{
    address,
    client::Client,
    connector::{Connector, Tcp},
    error::Result,
    handshake,
};

/// What a client wants, and its limits.
///
/// ```no_run
/// # async fn example() -> zk_client::Result<()> {
/// use std::time::Duration;
///
/// let client = zk_client::Options::default()
///     .with_session_timeout(Duration::from_secs(30))
///     .with_connect_timeout(Duration::from_secs(5))
///     .connect("zk1:2181,zk2:2181,zk3:2181")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    session_timeout: Duration,
    connect_timeout: Duration,
    server_timeout: Duration,
    max_request: usize,
    max_reply: usize,
    max_outbox: usize,
    max_requests: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            server_timeout: Duration::from_secs(3),
            max_request: 0xf_ffff,
            max_reply: 4 << 20,
            max_outbox: 16 << 20,
            max_requests: 1 << 16,
        }
    }
}

/// A getter and its setter; the text is the getter's.
macro_rules! options {
    ($($(#[$doc:meta])* $name:ident, $with:ident: $type:ty;)+) => {$(
        $(#[$doc])*
        #[must_use]
        pub const fn $name(&self) -> $type {
            self.$name
        }

        #[doc = concat!("Sets [`", stringify!($name), "`](Self::", stringify!($name), ").")]
        #[must_use]
        pub const fn $with(mut self, $name: $type) -> Self {
            self.$name = $name;
            self
        }
    )+};
}

impl Options {
    options! {
        /// How long the server shall wait for a word from us before it ends the session; 10 s by default. Servers grant what
        /// they like: 2 to 20 of their ticks, usually 4 s to 40 s. [`Client::session_timeout`] says what it became.
        session_timeout, with_session_timeout: Duration;
        /// How long connecting may take in all; 10 s by default.
        connect_timeout, with_connect_timeout: Duration;
        /// How long one server has to grant a session before the next one is tried; 3 s by default.
        server_timeout, with_server_timeout: Duration;
        /// Bytes of the largest request; 1 048 575 by default, as for servers (`jute.maxbuffer`), which close the
        /// connection over a larger one. Beyond: [`Error::RequestTooLarge`](crate::Error::RequestTooLarge).
        max_request, with_max_request: usize;
        /// Bytes of the largest answer; 4 MiB by default. It is larger than a request may be, because a node filled to the
        /// limit comes back with more around it, and a list of children has no limit of its own. A larger answer is
        /// skipped as it arrives: [`Error::ReplyTooLarge`](crate::Error::ReplyTooLarge).
        max_reply, with_max_reply: usize;
        /// Bytes of requests that may wait to be sent; 16 MiB by default. Beyond:
        /// [`Error::OutboxFull`](crate::Error::OutboxFull).
        max_outbox, with_max_outbox: usize;
        /// Requests that may wait for their answers; 65 536 by default. Beyond:
        /// [`Error::TooManyRequests`](crate::Error::TooManyRequests).
        max_requests, with_max_requests: usize;
    }

    /// Connects over TCP to the first of `host:port,host:port` that grants a session, in the order written; the port is
    /// 2181 where none is given. Each is tried once.
    ///
    /// # Errors
    ///
    /// [`Error::ConnectString`](crate::Error::ConnectString), [`Error::NoServer`](crate::Error::NoServer) with what each
    /// server said, or [`Error::SessionExpired`](crate::Error::SessionExpired).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection. A session that the server had just granted ends by its timeout.
    pub async fn connect(&self, servers: &str) -> Result<Client> {
        handshake::connect(self, &Tcp, address::parse(servers)?).await
    }

    /// Connects by `connector` to the first of `servers` that grants a session, in the order given. Each is tried once.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect); what an address looks like is for the connector to say.
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_with<C: Connector>(
        &self,
        connector: &C,
        servers: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Client> {
        handshake::connect(self, connector, servers.into_iter().map(Into::into).collect()).await
    }
}
