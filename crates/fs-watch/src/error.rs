//! What can go wrong in a call. While a watcher runs, trouble is an [`Event`](crate::Event).

use std::io;
use std::path::PathBuf;

use crate::event::Why;
use lock_file::Fault as LockFault;

/// Why a directory could not be watched or managed, or a connection to a socket in it could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory does not exist.
    #[error("no directory at {dir:?}: create it first")]
    Missing {
        /// The directory as you gave it.
        dir: PathBuf,
    },
    /// The directory does not exist and could not be created.
    #[error("cannot create {dir:?}: make it yourself, or wait for it")]
    Create {
        /// The directory as you gave it.
        dir: PathBuf,
        /// The error from the operating system.
        source: io::Error,
    },
    /// The directory cannot be read at present, so nothing can be promised about it.
    #[error("cannot see what is in {dir:?}: ask again when it can be read")]
    Blind {
        /// The directory as you gave it.
        dir: PathBuf,
        /// The reason.
        source: Why,
    },
    /// The path leads to a file, a socket or a device.
    #[error("{dir:?} is not a directory: name the directory that holds the sockets")]
    NotADirectory {
        /// The path as you gave it.
        dir: PathBuf,
    },
    /// The path leads to something that is neither a directory nor a socket.
    #[error("{path:?} is neither a socket nor a directory")]
    NeitherSocketNorDirectory {
        /// The path as you gave it.
        path: PathBuf,
    },
    /// The directory exists, but listing it failed.
    #[error("cannot list {dir:?}: this process needs permission to read and to search it")]
    Unreadable {
        /// The directory as you gave it.
        dir: PathBuf,
        /// The error from the operating system.
        source: io::Error,
    },
    /// The operating system could not start a thread for watching.
    #[error("cannot start a thread to watch {dir:?}: the process or the machine has too many")]
    NoThread {
        /// The directory as you gave it.
        dir: PathBuf,
        /// The error from the operating system.
        source: io::Error,
    },
    /// No file has the path of the socket any more: its [`Removed`](crate::Event::Removed) will follow.
    #[error("{path:?} is gone")]
    Gone {
        /// The socket's path.
        path: PathBuf,
    },
    /// Another file has the path of the socket: its [`Removed`](crate::Event::Removed) will follow, and the `Added` of
    /// its successor if that is a socket.
    #[error("{path:?} is not the socket that was listed any more: wait for the next one")]
    Replaced {
        /// The socket's path.
        path: PathBuf,
    },
    /// The socket file belongs to a user other than those you accept.
    #[error("{path:?} belongs to user {uid}: nothing was connected to")]
    WrongOwner {
        /// The socket's path.
        path: PathBuf,
        /// The owner.
        uid: u32,
    },
    /// No process listens: not yet, or not any more.
    #[error("nobody listens on {path:?}")]
    Refused {
        /// The socket's path.
        path: PathBuf,
    },
    /// A server listens, and its queue of connections is full.
    #[error("whoever listens on {path:?} does not accept: its queue is full")]
    Busy {
        /// The socket's path.
        path: PathBuf,
    },
    /// This process is not permitted to connect.
    #[error("may not connect to {path:?}: that takes permission to write to it")]
    Denied {
        /// The socket's path.
        path: PathBuf,
    },
    /// The socket is not a stream socket: it takes datagrams or sequenced packets.
    #[error("{path:?} is not a stream socket")]
    WrongType {
        /// The socket's path.
        path: PathBuf,
    },
    /// The file cannot be reached through its descriptor, because `/proc` is not mounted.
    #[error("cannot reach {path:?} by its descriptor: mount /proc")]
    NoProc {
        /// The socket's path.
        path: PathBuf,
    },
    /// The connection failed for another reason.
    #[error("cannot connect to {path:?}")]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// The error from the operating system.
        source: io::Error,
    },
    /// Another process manages the directory.
    #[error("{dir:?} is managed by {}: it holds {lock:?}", holder(*pid))]
    Locked {
        /// The directory as you gave it.
        dir: PathBuf,
        /// The file that is locked.
        lock: PathBuf,
        /// The pid of the holder, in its own pid namespace; unknown if it has only just locked the file.
        pid: Option<u32>,
    },
    /// The file with the name of the lock is not a lock of ours.
    #[error("{lock:?} is not used as a lock, because {fault}: remove it, or take a directory of your own")]
    ForeignLock {
        /// The file that is in the way.
        lock: PathBuf,
        /// What is wrong with it.
        fault: LockFault,
    },
    /// In this directory, other users may rename and remove our files.
    #[error("{dir:?} (mode {mode:o}) is writable by others and not sticky: take a directory of your own")]
    SharedDirectory {
        /// The directory as you gave it.
        dir: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A system call in a directory failed.
    #[error("cannot {doing} {path:?}")]
    Housekeeping {
        /// The operation that failed.
        doing: &'static str,
        /// The file or directory that it was about.
        path: PathBuf,
        /// The error from the operating system.
        source: io::Error,
    },
    /// The watching thread ended by itself, because a [`Backend`](crate::Backend) panicked in it. Start a new watcher.
    #[error("the thread that watched {dir:?} ended by itself: start a new watcher")]
    Stopped {
        /// The directory as you gave it.
        dir: PathBuf,
    },
}

impl Error {
    /// Whether the same call may succeed later without a change in the program: the directory may appear, and
    /// permissions and limits may change.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Missing { .. }
            | Self::Create { .. }
            | Self::Blind { .. }
            | Self::Unreadable { .. }
            | Self::NoThread { .. } => true,
            Self::NotADirectory { .. } | Self::NeitherSocketNorDirectory { .. } | Self::Stopped { .. } => false,
            Self::Refused { .. } | Self::Busy { .. } | Self::Denied { .. } | Self::Connect { .. } => true,
            // A later file at this path is another socket, and announced as such.
            Self::Gone { .. } | Self::Replaced { .. } => false,
            Self::Locked { .. } | Self::Housekeeping { .. } => true,
            Self::ForeignLock { .. } | Self::SharedDirectory { .. } => false,
            Self::WrongOwner { .. } | Self::WrongType { .. } | Self::NoProc { .. } => false,
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
