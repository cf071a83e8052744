//! The kinds of watches, and which kind a request leaves.

use crate::code::ErrorCode;

/// Identifies a user's watch. You choose the number; do not use it twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u64);

/// The five kinds of watch that a server keeps for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchKind {
    /// One event about the node's data or its deletion.
    Data,
    /// One event about the creation of a node that does not exist.
    Exist,
    /// One event about the node's list of children or its deletion.
    Child,
    /// Every event about the node and its list of children.
    Persistent,
    /// Every event about the node and the nodes below it.
    PersistentRecursive,
}

impl WatchKind {
    /// All of them, in the order of [`SetWatches2`](crate::SetWatches2).
    pub const ALL: [Self; 5] = [Self::Data, Self::Exist, Self::Child, Self::Persistent, Self::PersistentRecursive];

    /// Whether it remains after an event.
    #[must_use]
    pub const fn is_persistent(self) -> bool {
        match self {
            Self::Persistent | Self::PersistentRecursive => true,
            Self::Data | Self::Exist | Self::Child => false,
        }
    }
}

/// Which watch a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// One event about the node's data.
    Data,
    /// One event about the node's data, or about its creation if it does not exist.
    Exists,
    /// One event about the node's list of children.
    Child,
    /// Every event about the node and its list of children.
    Persistent,
    /// Every event about the node and the nodes below it.
    PersistentRecursive,
}

impl Asked {
    /// The kind of watch that the server registered, according to its reply; `None` if it registered none.
    #[must_use]
    pub const fn registered(self, code: Option<ErrorCode>) -> Option<WatchKind> {
        match (self, code) {
            (Self::Data | Self::Exists, None) => Some(WatchKind::Data),
            (Self::Exists, Some(ErrorCode::NoNode)) => Some(WatchKind::Exist),
            (Self::Child, None) => Some(WatchKind::Child),
            (Self::Persistent, None) => Some(WatchKind::Persistent),
            (Self::PersistentRecursive, None) => Some(WatchKind::PersistentRecursive),
            _ => None,
        }
    }
}
