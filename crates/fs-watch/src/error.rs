//! What can go wrong in a call. While a watcher runs, trouble is an [`Event`](crate::Event).

use std::io;
use std::path::PathBuf;

use crate::event::Why;

/// Why a directory could not be watched. What can go wrong with a socket in it is a [`ConnectError`](crate::ConnectError), and with
/// its housekeeping a [`directory::Error`](crate::directory::Error).
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
            Self::NotADirectory { .. } | Self::Stopped { .. } => false,
        }
    }
}
