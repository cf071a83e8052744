//! What to report to the consumer.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::event::{Event, Reason};
use crate::socket::{Generation, Socket, SocketId};

/// A difference between what was announced and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A socket to announce.
    Added(Socket),
    /// A server listens on an announced socket.
    Ready(Socket),
    /// An announced socket that is gone.
    Removed {
        /// Which one.
        id: SocketId,
        /// How it went.
        reason: Reason,
    },
}

impl From<Change> for Event {
    fn from(change: Change) -> Self {
        match change {
            Change::Added(socket) => Self::Added(socket),
            Change::Ready(socket) => Self::Ready(socket),
            Change::Removed { id, reason } => Self::Removed { id, reason },
        }
    }
}

/// The changes of one directory that have not been reported yet, in their order.
#[derive(Debug)]
pub(super) struct Changes {
    /// The prefix of all names.
    dir: PathBuf,
    queue: VecDeque<Change>,
    /// How many sockets are announced once everything is reported.
    announced: usize,
}

impl Changes {
    /// An empty queue keeps room for this many changes.
    const KEPT: usize = 64;

    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, queue: VecDeque::new(), announced: 0 }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn announced(&self) -> usize {
        self.announced
    }

    pub(super) fn add(&mut self, socket: Socket) {
        self.announced += 1;
        self.queue.push_back(Change::Added(socket));
    }

    pub(super) fn ready(&mut self, socket: Socket) {
        self.queue.push_back(Change::Ready(socket));
    }

    pub(super) fn remove(&mut self, name: &OsStr, generation: Generation, reason: Reason) {
        self.announced -= 1;
        let id = SocketId { path: self.dir.join(name), generation };
        self.queue.push_back(Change::Removed { id, reason });
    }

    pub(super) fn poll(&mut self) -> Option<Change> {
        let change = self.queue.pop_front();
        if change.is_none() {
            // After a burst.
            self.queue.shrink_to(Self::KEPT);
        }
        change
    }
}
