//! What a supervisor runs tasks for.

use std::fmt::Debug;
use std::hash::Hash;
use std::path::PathBuf;

use crate::socket::{Socket, SocketId};

/// What has a task while it is there: a [`Socket`], or a member that your own source announces.
pub trait Subject: Clone + Debug + Send + 'static {
    /// Distinguishes it from everything else, including what is at the same place before and after it.
    type Id: Clone + Debug + Eq;
    /// Where it is. No two tasks run for one place at the same time.
    type Place: Clone + Debug + Eq + Hash + Ord;

    /// Which one it is.
    fn id(&self) -> Self::Id;

    /// Where the one with this id is.
    fn place(id: &Self::Id) -> &Self::Place;
}

impl Subject for Socket {
    type Id = SocketId;
    type Place = PathBuf;

    fn id(&self) -> SocketId {
        self.id()
    }

    fn place(id: &SocketId) -> &PathBuf {
        &id.path
    }
}
