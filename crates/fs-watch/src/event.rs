//! What a watcher tells its consumer.

use std::fmt;
use std::io;

use crate::socket::{Socket, SocketId};

/// One item of the stream of a [`Watcher`](crate::Watcher).
///
/// The events are those of a list-and-watch protocol. If you keep a map, insert on `InitApply` and `Added`, and delete
/// on `Removed`, then after each event your map equals the directory at some moment since the last event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first listing begins. Comes once.
    Init,
    /// This socket was there when the first listing was made.
    InitApply(Socket),
    /// The first listing is complete. Changes follow.
    InitDone,
    /// A socket has appeared: it was bound here, renamed into the directory, or replaced another. It need not be live
    /// yet: `bind` creates the file, and `listen` comes later.
    Added(Socket),
    /// A server listens on this socket, which was announced before by `InitApply` or `Added`; or it is a datagram
    /// socket, which takes messages. Comes at most once for each [`id`](Socket::id).
    Ready(Socket),
    /// A socket is gone from its path. If it was replaced, this comes before the [`Added`] of its successor.
    ///
    /// [`Added`]: Event::Added
    Removed {
        /// Which one: the [`id`](Socket::id) of the socket announced before.
        id: SocketId,
        /// How it went.
        reason: Reason,
    },
    /// Changes are noticed late, or not at all, until [`Resynced`](Event::Resynced). Comes again when the cause
    /// changes. Also while it is only not known which sockets are [live](Why::NoTable).
    Degraded(Why),
    /// A complete scan has found everything that was missed: after this event, what was announced is what the scan
    /// found. Ends a `Degraded`; comes alone if the kernel dropped hints and one scan repaired that at once.
    Resynced,
}

/// How a socket left its path, or lost its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It was unlinked or renamed, or the whole directory went. A file that is not a socket may have its name now.
    Gone,
    /// Another socket has its path. The `Added` of that socket follows.
    Replaced,
    /// Its file is still there, but no process has the socket any more, and none can: a new server creates a new file,
    /// which is announced. (If a server in another network namespace took more than two seconds from `bind` to
    /// `listen`, the socket turns out to be served after all, and is `Added` again.)
    Stale,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "gone",
            Self::Replaced => "replaced",
            Self::Stale => "stale",
        })
    }
}

/// Why a watcher cannot see all changes in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The directory's path does not exist. The watcher waits until it is back.
    #[error("the directory does not exist")]
    Missing,
    /// The path leads to a file that is not a directory.
    #[error("the path is not a directory")]
    NotADirectory,
    /// The directory exists and could not be listed. Sockets that were announced stay: a failure proves nothing.
    #[error("the directory cannot be listed: {message}")]
    Unreadable {
        /// The operating system's error, for matching.
        kind: io::ErrorKind,
        /// The same, for people to read.
        message: String,
    },
    /// Servers on other machines, or a program behind the filesystem, may change the directory without the kernel
    /// noticing. The directory is scanned four times a second, as long as it is watched.
    #[error("{filesystem} does not report what others change")]
    EventsUnreliable {
        /// The kind of filesystem.
        filesystem: &'static str,
    },
    /// A limit of the kernel leaves no room for our watches. Scans find changes, four times a second.
    #[error("{limit} is exhausted: raise it, or run fewer watchers")]
    LimitReached {
        /// The sysctl or resource limit that has been reached.
        limit: &'static str,
    },
    /// The source of hints did not answer in time. It is abandoned and another one is started; until then, scans find
    /// changes, four times a second.
    #[error("the source of hints does not answer")]
    BackendStuck,
    /// The source of hints failed. It is restarted; until then, scans find changes, four times a second.
    #[error("the source of hints failed: {message}")]
    BackendFailed {
        /// Its error message.
        message: String,
    },
    /// The kernel does not tell its table of sockets: the kernel or a sandbox does not know the query, or forbids it. Sockets
    /// are announced and removed as ever. Which of them are live is not known, so that there is no [`Ready`](Event::Ready) for a
    /// stream socket. Not with [`Probing::TableAndConnect`](crate::Probing::TableAndConnect),
    /// which finds out by itself.
    #[error("which sockets are live is not known: {message}")]
    NoTable {
        /// The error of the query.
        message: String,
    },
}

impl Why {
    /// Whether no changes can be seen at all. Otherwise they are only found late.
    pub fn is_blind(&self) -> bool {
        match self {
            Self::Missing | Self::NotADirectory | Self::Unreadable { .. } => true,
            Self::EventsUnreliable { .. }
            | Self::LimitReached { .. }
            | Self::BackendStuck
            | Self::BackendFailed { .. }
            | Self::NoTable { .. } => false,
        }
    }

    /// What a failed attempt to reach or list the directory means.
    pub(crate) fn from_listing(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::NotADirectory => Self::NotADirectory,
            kind => Self::Unreadable { kind, message: error.to_string() },
        }
    }
}
