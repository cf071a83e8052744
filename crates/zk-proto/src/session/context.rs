//! What the session remembers of a request until its reply, and in which queue it looks for the reply.

use super::auth::AuthId;
use crate::{
    ids::Xid,
    opcode::OpCode,
    watches::{Asked, WatchId},
};

/// The queues of replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The reply to the connect request, which has no header.
    Handshake,
    /// Replies to numbered requests, in order.
    Ordered,
    /// Replies to pings. Some servers send them ahead of earlier requests that they still execute.
    Ping,
    /// Replies to authentications, which can overtake earlier requests.
    Auth,
    /// Replies to requests that restore watches.
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

/// What the session remembers of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Context {
    /// A connect request.
    Connect,
    /// This operation.
    Operation(OpCode),
    /// A request that leaves a watch.
    Watch {
        /// Which watch.
        asked: Asked,
        /// The node's path.
        path: Box<str>,
        /// The user of the watch.
        user: WatchId,
        /// Whether the request asked for no watch, because a persistent one covers it.
        covered: bool,
    },
    /// An authentication that the session remembers.
    Auth {
        /// Which authentication.
        id: AuthId,
        /// Whether the connection needs it before it is ready.
        priming: bool,
    },
    /// A request that restores the watches of earlier connections.
    Watches,
    /// A request that removes all watches at a path.
    Unwatch,
    /// A request that closes another session, which was granted instead of this one.
    CloseOther,
}
