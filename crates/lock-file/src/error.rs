//! Why a lock was not taken.

use std::{fmt, io};

use crate::FileKind;

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process holds it.
    #[error("it is held by {}", pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")))]
    Held {
        /// Who, in its own pid namespace; not known if it has only just begun. Nothing should be decided by it.
        pid: Option<u32>,
    },
    /// A process examines it for a moment, without holding it: try again.
    #[error("another process is examining it")]
    Examined,
    /// The file with this name is not one of our locks. It was left as it is.
    #[error("it is not used as a lock, because {fault}")]
    Foreign {
        /// What is wrong with it.
        fault: Fault,
    },
    /// It was replaced each time between opening and locking it, so another process holds one.
    #[error("it was replaced {attempts} times while it was being locked")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// A system call failed.
    #[error("it cannot be opened or locked")]
    Failed {
        /// What the operating system said.
        source: io::Error,
    },
}

impl Error {
    /// Whether trying again may succeed with nothing changed in the program.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Held { .. } | Self::Examined | Self::Contended { .. } | Self::Failed { .. } => true,
            Self::Foreign { .. } => false,
        }
    }
}

impl From<Error> for io::Error {
    /// The operating system's own error where there is one.
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Failed { source } => return source,
            Error::Held { .. } | Error::Examined | Error::Contended { .. } => io::ErrorKind::WouldBlock,
            Error::Foreign { .. } => io::ErrorKind::AlreadyExists,
        };
        Self::new(kind, error)
    }
}

/// Why a file is not one that this process could have made to lock it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It belongs to another user, who could keep it locked and lock us out for good.
    Owner(u32),
    /// It has other names, so that another process may hold it under one of them.
    Links,
    /// It is not a regular file.
    Kind(FileKind),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(uid) => write!(f, "it belongs to uid {uid}"),
            Self::Links => f.write_str("it has further names (hard links)"),
            Self::Kind(kind) => write!(f, "it is {kind}"),
        }
    }
}
