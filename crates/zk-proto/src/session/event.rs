//! What a session tells: its own life, and what happened to watched nodes.

use std::{fmt, time::Duration};

use super::auth::AuthId;
use crate::{
    connect::Password,
    ids::{SessionId, Zxid},
    reply::WatcherEvent,
    watches::WatchId,
};

/// What happened to a watched node, and which users it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// What happened, to which node.
    pub event: WatcherEvent<'static>,
    /// The transaction that caused it; −1 from servers before 3.9.
    pub zxid: Zxid,
    /// The users. One-shot watches among them are over.
    pub users: Vec<WatchId>,
}

/// What happens to a session, in this order:
///
/// ```text
///   Connected ──► Suspended ──► Resumed ──► Suspended … ──► Ended
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The session was granted, and everything that its connection needs first is confirmed.
    Connected {
        /// Its name.
        session: SessionId,
        /// How long the server waits for a word from us.
        timeout: Duration,
    },
    /// The connection is lost. The session may live on: its ephemeral nodes do until the server's patience is over.
    Suspended,
    /// A connection of the same session is ready: authentications and watches are as they were. Users of persistent watches
    /// have missed what happened in between.
    Resumed {
        /// Whose watches have a gap.
        gaps: Vec<WatchId>,
    },
    /// The server has taken an authentication.
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
    /// The session is over, and its ephemeral nodes are gone, or will be soon.
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
    /// The server granted another session instead, which was closed.
    #[error("the server granted session {granted} instead")]
    Replaced {
        /// The other one.
        granted: SessionId,
    },
    /// No server could be reached for 4/3 of the timeout.
    #[error("no server granted it again for {silence:?}")]
    Unreachable {
        /// How long no server has been heard from.
        silence: Duration,
    },
    /// Every server that was tried for 4/3 of the timeout closed the connection without an answer.
    #[error("every server closed the handshake without an answer for {silence:?}; they may be behind zxid {:#x}", .last_zxid.0)]
    Unanswered {
        /// How long no server has been heard from.
        silence: Duration,
        /// The transaction that this client had seen.
        last_zxid: Zxid,
    },
}

/// What to do with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Keep it.
    Keep,
    /// Close it, and open another one: this server rejected the connection, with this code.
    Rejected(i32),
    /// Close it, and fail every call: the session is over.
    Over,
}

/// What it takes to go on with a session, in this process or in another one.
#[derive(Clone, PartialEq, Eq)]
pub struct Resume {
    /// Its name.
    pub session: SessionId,
    /// What proves that it is ours: a secret.
    pub password: Password<'static>,
    /// The timeout to ask for.
    pub timeout: Duration,
    /// The highest transaction seen in it.
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

/// What the user of the session was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    Nothing,
    Connected,
    Suspended,
}
