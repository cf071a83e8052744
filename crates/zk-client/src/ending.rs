//! How a session ends.

use std::{fmt, sync::Arc};

use zk_proto::{SessionId, session::Expiry};

/// How a client's session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The server confirmed that it closed the session; its ephemeral nodes are gone.
    Closed,
    /// The session is over: the server said so, or no server granted it again for 4/3 of its timeout. Its ephemeral
    /// nodes are gone, or will be soon.
    Expired(Expiry),
    /// A server did not accept an authentication.
    AuthFailed,
    /// The client has [left](crate::Client::detach) the session, which continues.
    Detached,
    /// The outcome is unknown: the server did not confirm that it closed the session, or the client's runtime was shut
    /// down. The session and its ephemeral nodes live on until the session timeout has passed.
    Lost(Arc<str>),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the session was closed"),
            Self::Expired(expiry) => write!(f, "the session has expired: {expiry}"),
            Self::AuthFailed => f.write_str("a server did not accept the authentication"),
            Self::Detached => f.write_str("the client has left the session"),
            Self::Lost(why) => write!(f, "how the session ended is not known: {why}"),
        }
    }
}

impl From<zk_proto::Ending> for Ending {
    fn from(ending: zk_proto::Ending) -> Self {
        match ending {
            zk_proto::Ending::Closed => Self::Closed,
            zk_proto::Ending::Expired(expiry) => Self::Expired(expiry),
            zk_proto::Ending::AuthFailed => Self::AuthFailed,
            other => Self::Lost(other.to_string().into()),
        }
    }
}

/// The final report of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The session's id.
    pub session: SessionId,
    /// How the session ended.
    pub ending: Ending,
    /// The outcomes of all requests, including handshakes, pings and the close.
    pub requests: packetizer::Report,
}
