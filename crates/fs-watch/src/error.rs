//! What can go wrong in a call. Once a watcher runs, trouble is an [`Event`](crate::Event).

use std::io;
use std::path::PathBuf;

use crate::event::Why;
use lock_file::Fault as LockFault;

/// Why a directory could not be watched or looked after, or a socket in it not be connected to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory is not there.
    #[error("no directory at {dir:?}: create it first")]
    Missing {
        /// The directory as it was given.
        dir: PathBuf,
    },
    /// The directory is not there and could not be made.
    #[error("cannot create {dir:?}: make it yourself, or wait for it")]
    Create {
        /// The directory as it was given.
        dir: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The directory cannot be seen at present, so that nothing can be promised about it.
    #[error("cannot see what is in {dir:?}: ask again when it can be read")]
    Blind {
        /// The directory as it was given.
        dir: PathBuf,
        /// Why not.
        source: Why,
    },
    /// The path leads to a file, a socket or a device.
    #[error("{dir:?} is not a directory: name the directory that holds the sockets")]
    NotADirectory {
        /// The path as it was given.
        dir: PathBuf,
    },
    /// The path leads to something that can be neither listed nor asked about.
    #[error("{path:?} is neither a socket nor a directory")]
    NeitherSocketNorDirectory {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The directory is there, but listing it failed.
    #[error("cannot list {dir:?}: this process needs permission to read and to search it")]
    Unreadable {
        /// The directory as it was given.
        dir: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system gave no thread to watch with.
    #[error("cannot start a thread to watch {dir:?}: the process or the machine has too many")]
    NoThread {
        /// The directory as it was given.
        dir: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Nothing has the path of the socket any more: its [`Removed`](crate::Event::Removed) is on its way.
    #[error("{path:?} is gone")]
    Gone {
        /// The socket's path.
        path: PathBuf,
    },
    /// Something else has the path of the socket: its [`Removed`](crate::Event::Removed) is on its way, and the `Added` of
    /// its successor if that is a socket.
    #[error("{path:?} is not the socket that was listed any more: wait for the next one")]
    Replaced {
        /// The socket's path.
        path: PathBuf,
    },
    /// The socket's file belongs to somebody who was not expected to have one here.
    #[error("{path:?} belongs to user {uid}: nothing was connected to")]
    WrongOwner {
        /// The socket's path.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Nobody listens: not yet, or no more.
    #[error("nobody listens on {path:?}")]
    Refused {
        /// The socket's path.
        path: PathBuf,
    },
    /// Somebody listens and has as many connections waiting as may wait.
    #[error("whoever listens on {path:?} does not accept: its queue is full")]
    Busy {
        /// The socket's path.
        path: PathBuf,
    },
    /// This process may not connect.
    #[error("may not connect to {path:?}: that takes permission to write to it")]
    Denied {
        /// The socket's path.
        path: PathBuf,
    },
    /// Somebody serves there, and not a stream: datagrams or sequenced packets.
    #[error("{path:?} is not a stream socket")]
    WrongType {
        /// The socket's path.
        path: PathBuf,
    },
    /// There is no way to a file by its descriptor.
    #[error("cannot reach {path:?} by its descriptor: mount /proc")]
    NoProc {
        /// The socket's path.
        path: PathBuf,
    },
    /// Something else kept us from connecting.
    #[error("cannot connect to {path:?}")]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process manages the directory.
    #[error("{dir:?} is managed by {}: it holds {lock:?}", holder(*pid))]
    Locked {
        /// The directory as it was given.
        dir: PathBuf,
        /// The file that is locked.
        lock: PathBuf,
        /// Who holds it, in its own pid namespace; not known if it has only just begun.
        pid: Option<u32>,
    },
    /// What has the name of the lock is no lock of ours.
    #[error("{lock:?} is not used as a lock, because {fault}: remove it, or take a directory of your own")]
    ForeignLock {
        /// What is in the way.
        lock: PathBuf,
        /// What is wrong with it.
        fault: LockFault,
    },
    /// Others may rename and remove what is ours in this directory.
    #[error("{dir:?} (mode {mode:o}) is writable by others and not sticky: take a directory of your own")]
    SharedDirectory {
        /// The directory as it was given.
        dir: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A system call in a directory failed.
    #[error("cannot {doing} {path:?}")]
    Housekeeping {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The watching thread ended by itself: a [`Backend`](crate::Backend) panicked in it. Start anew.
    #[error("the thread that watched {dir:?} ended by itself: start a new watcher")]
    Stopped {
        /// The directory as it was given.
        dir: PathBuf,
    },
}

impl Error {
    /// Whether the same call may succeed later with nothing changed in the program: the directory may
    /// appear, permissions and limits may be lifted.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Missing { .. }
            | Self::Create { .. }
            | Self::Blind { .. }
            | Self::Unreadable { .. }
            | Self::NoThread { .. } => true,
            Self::NotADirectory { .. } | Self::NeitherSocketNorDirectory { .. } | Self::Stopped { .. } => false,
            Self::Refused { .. } | Self::Busy { .. } | Self::Denied { .. } | Self::Connect { .. } => true,
            // What comes at this path is another socket, and announced as such.
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
