//! What can go wrong when a watcher starts. Once it runs, trouble is an [`Event`](crate::Event).

use std::io;
use std::path::PathBuf;

use crate::event::Why;

/// Why a directory could not be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory is not there.
    #[error("no directory at {dir:?}: create it before watching it")]
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
            Self::NotADirectory { .. } | Self::Stopped { .. } => false,
        }
    }
}
