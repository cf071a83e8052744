//! What is remembered of a request until its reply, and where the reply is looked for.

use super::auth::AuthId;
use crate::{
    ids::Xid,
    opcode::OpCode,
    watches::{Asked, WatchId},
};

/// The queues in which a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The answer to the connect request, which has no header.
    Handshake,
    /// Answers to numbered requests, in order.
    Ordered,
    /// Answers to pings. Some servers answer them ahead of what they still have to do.
    Ping,
    /// Answers to authentications, which overtake what was asked before.
    Auth,
    /// Answers to the restoring of watches.
    SetWatches,
}

impl Lane {
    pub(super) const fn of(xid: Xid) -> Self {
        match xid {
            Xid::PING => Self::Ping,
            Xid::AUTH => Self::Auth,
            Xid::SET_WATCHES => Self::SetWatches,
            _ => Self::Ordered,
        }
    }
}

/// What must be remembered of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Context {
    /// It was the connect request.
    Connect,
    /// It was this operation.
    Operation(OpCode),
    /// It leaves a watch.
    Watch {
        /// Which one.
        asked: Asked,
        /// Of which node.
        path: Box<str>,
        /// For which user.
        user: WatchId,
        /// Whether it asked the server for none, because there is a persistent one.
        covered: bool,
    },
    /// It was an authentication that the session remembers.
    Auth {
        /// Which one.
        id: AuthId,
        /// Whether the connection is not ready without it.
        priming: bool,
    },
    /// It asked for the watches of earlier connections.
    Watches,
    /// It removed all watches at a path.
    Unwatch,
    /// It closes another session that was granted instead of this one.
    CloseOther,
}
