//! What can go wrong in housekeeping.

use std::io;
use std::path::PathBuf;

use lock_file::Fault as LockFault;

/// Why a directory could not be locked, inspected or swept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory does not exist.
    #[error("no directory at {dir:?}: create it first")]
    Missing {
        /// The directory as you gave it.
        dir: PathBuf,
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
    /// The file with the name of the lock is not one of our locks.
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
    Failed {
        /// The operation that failed.
        doing: &'static str,
        /// The file or directory that it was about.
        path: PathBuf,
        /// The error from the operating system.
        source: io::Error,
    },
}

impl Error {
    /// Whether the same call may succeed later without a change in the program.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Unreadable { .. } | Self::Locked { .. } | Self::Failed { .. } => true,
            Self::NotADirectory { .. } | Self::NeitherSocketNorDirectory { .. } => false,
            Self::ForeignLock { .. } | Self::SharedDirectory { .. } => false,
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
