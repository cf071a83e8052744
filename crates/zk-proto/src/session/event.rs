//! The events of a session: its state, and changes to watched nodes.

use std::{fmt, time::Duration};

use super::auth::AuthId;
use crate::{
    connect::Password,
    ids::{SessionId, Zxid},
    reply::WatcherEvent,
    watches::WatchId,
};

/// A change to a watched node, and the users that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The change and the node's path.
    pub event: WatcherEvent<'static>,
    /// The transaction that caused it; −1 from servers before 3.9.
    pub zxid: Zxid,
    /// The users. Their one-shot watches are over.
    pub users: Vec<WatchId>,
}

/// The states of a session. They occur in this order:
///
/// ```text
///   Connected ──► Suspended ──► Resumed ──► Suspended … ──► Ended
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The session was granted, and everything that its connection needs first is confirmed.
    Connected {
        /// The session's id.
        session: SessionId,
        /// How long the server waits without hearing from us.
        timeout: Duration,
    },
    /// The connection is lost. The session and its ephemeral nodes may live on until the server's timeout.
    Suspended,
    /// A new connection of the same session is ready, with its authentications and watches restored. Users of
    /// persistent watches have missed what happened in between.
    Resumed {
        /// The users whose watches have a gap.
        gaps: Vec<WatchId>,
    },
    /// The server has accepted an authentication.
    Authenticated(AuthId),
    /// The session is over. Nothing follows.
    Ended(Ending),
}

/// How a session ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ending {
    /// The server confirmed that it closed the session; its ephemeral nodes are gone.
    #[error("the session was closed")]
    Closed,
    /// The session is over. Its ephemeral nodes are gone, or will be soon.
    #[error("the session has expired: {0}")]
    Expired(Expiry),
    /// The server does not accept an authentication.
    #[error("the server does not accept the authentication")]
    AuthFailed,
}

/// Why a session counts as expired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Expiry {
    /// The server said so.
    #[error("the server says so")]
    Server,
    /// The server granted another session instead, which we closed.
    #[error("the server granted session {granted} instead")]
    Replaced {
        /// The session that was granted.
        granted: SessionId,
    },
    /// We could not reach any server for 4/3 of the timeout.
    #[error("no server granted it again for {silence:?}")]
    Unreachable {
        /// How long ago we last heard from a server.
        silence: Duration,
    },
    /// Every server that we tried for 4/3 of the timeout closed the connection without an answer.
    #[error("every server closed the handshake without an answer for {silence:?}; they may be behind zxid {:#x}", .last_zxid.0)]
    Unanswered {
        /// How long ago we last heard from a server.
        silence: Duration,
        /// The highest transaction that this client had seen.
        last_zxid: Zxid,
    },
    /// It was a session of a read-only server, and the connection was lost. No other server knows such a session.
    #[error("it was the session of a read-only server, and the connection is lost")]
    ReadOnly,
}

/// What to do with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Keep it.
    Keep,
    /// Close it and open another one: this server rejected the connection with this code.
    Rejected(i32),
    /// Close it and fail every call: the session is over.
    Over,
}

/// What you need to continue a session, in this process or in another one.
#[derive(Clone, PartialEq, Eq)]
pub struct Resume {
    /// The session's id.
    pub session: SessionId,
    /// The password that proves that the session is ours. It is a secret.
    pub password: Password<'static>,
    /// The timeout to ask for.
    pub timeout: Duration,
    /// The highest transaction seen in the session.
    pub last_zxid: Zxid,
}

impl fmt::Debug for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resume")
            .field("session", &self.session)
            .field("timeout", &self.timeout)
            .field("last_zxid", &self.last_zxid)
            .finish_non_exhaustive()
    }
}

/// The last state that the user of the session was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    Nothing,
    Connected,
    Suspended,
}
