//! What a watcher tells its consumer.

use std::fmt;
use std::io;

use crate::socket::{Socket, SocketId};

/// One item of the stream a [`Watcher`](crate::Watcher) is.
///
/// The words are those of a list-and-watch protocol. A consumer that keeps a map and applies
/// `InitApply` and `Added` as insertions and `Removed` as a deletion holds, after each event, what the
/// directory held at some moment since.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first listing begins. Comes once.
    Init,
    /// This socket was there when the first listing was made.
    InitApply(Socket),
    /// The first listing is whole. From here on, changes.
    InitDone,
    /// A socket has come: bound here, renamed into the directory, or put in the place of another.
    /// Nobody need be listening on it yet: `bind` makes the file, `listen` comes later.
    Added(Socket),
    /// Somebody listens on this socket, which was announced before by `InitApply` or `Added`; a datagram socket takes
    /// messages. Comes at most once for each [`id`](Socket::id).
    Ready(Socket),
    /// A socket is gone from its path. For one that was replaced this comes before the [`Added`] of its
    /// successor.
    ///
    /// [`Added`]: Event::Added
    Removed {
        /// Which one: the [`id`](Socket::id) of the socket announced before.
        id: SocketId,
        /// How it went.
        reason: Reason,
    },
    /// From now on changes are seen late, or not at all until [`Resynced`](Event::Resynced). Comes again
    /// when the cause changes.
    Degraded(Why),
    /// What was missed has been made good: after this event, all that was announced is what a complete
    /// look found. Ends a `Degraded`; comes alone where the kernel dropped hints and one look repaired
    /// that at once.
    Resynced,
}

/// How a socket left its path, or its server left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Unlinked, renamed away, or the whole directory went; something that is no socket may have its
    /// name now.
    Gone,
    /// Another socket has its path; the `Added` of that one follows.
    Replaced,
    /// Its file is still there, and nobody is behind it any more. Nobody can come back to it: a new server makes a new
    /// file, which is announced. (Should it be served after all, by somebody in another network namespace who took more
    /// than two seconds from `bind` to `listen`, it is `Added` again.)
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

/// Why a watcher cannot see as it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// There is nothing at the directory's path. It is looked for until it is back.
    #[error("the directory does not exist")]
    Missing,
    /// Something that is no directory has the path.
    #[error("the path is not a directory")]
    NotADirectory,
    /// The directory is there and could not be listed. Sockets already announced are kept: a failure
    /// is not an absence.
    #[error("the directory cannot be listed: {message}")]
    Unreadable {
        /// The operating system's answer, to match on.
        kind: io::ErrorKind,
        /// The same, to read.
        message: String,
    },
    /// Servers on other machines, or a program behind the filesystem, may change the directory, and the kernel does not
    /// hear of it. It is looked at four times a second, for as long as it is watched.
    #[error("{filesystem} does not report what others change")]
    EventsUnreliable {
        /// What kind of filesystem it is.
        filesystem: &'static str,
    },
    /// A limit of the kernel leaves no room for our watches. Changes are found by looking four times a
    /// second.
    #[error("{limit} is exhausted: raise it, or run fewer watchers")]
    LimitReached {
        /// The sysctl or resource limit that has been reached.
        limit: &'static str,
    },
    /// The source of hints did not answer within its time. It is abandoned and another one started;
    /// until then changes are found by looking four times a second.
    #[error("the source of hints does not answer")]
    BackendStuck,
    /// The source of hints failed. It is started anew; until then changes are found by looking four
    /// times a second.
    #[error("the source of hints failed: {message}")]
    BackendFailed {
        /// What it said.
        message: String,
    },
}

impl Why {
    /// Whether nothing at all can be seen; otherwise changes are merely found late.
    pub fn is_blind(&self) -> bool {
        match self {
            Self::Missing | Self::NotADirectory | Self::Unreadable { .. } => true,
            Self::EventsUnreliable { .. }
            | Self::LimitReached { .. }
            | Self::BackendStuck
            | Self::BackendFailed { .. } => false,
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
