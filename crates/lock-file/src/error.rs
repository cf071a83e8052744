//! Why a lock was not taken.

use std::{fmt, io};

use crate::FileKind;

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process holds the lock.
    #[error("it is held by {}", pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")))]
    Held {
        /// The holder's pid in its own pid namespace. Unknown if the process has only just taken the lock. Do not base
        /// decisions on it.
        pid: Option<u32>,
    },
    /// Another process is examining the lock for a moment, without holding it. Try again.
    #[error("another process is examining it")]
    Examined,
    /// The file with this name is not one of our locks. It was left unchanged.
    #[error("it is not used as a lock, because {fault}")]
    Foreign {
        /// What is wrong with the file.
        fault: Fault,
    },
    /// The file was replaced each time between opening and locking it, so another process holds a lock.
    #[error("it was replaced {attempts} times while it was being locked")]
    Contended {
        /// The number of attempts.
        attempts: u32,
    },
    /// A system call failed.
    #[error("it cannot be opened or locked")]
    Failed {
        /// The operating system's error.
        source: io::Error,
    },
}

impl Error {
    /// Whether trying again may succeed without a change in the program.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Held { .. } | Self::Examined | Self::Contended { .. } | Self::Failed { .. } => true,
            Self::Foreign { .. } => false,
        }
    }
}

impl From<Error> for io::Error {
    /// The operating system's own error, if there is one.
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Failed { source } => return source,
            Error::Held { .. } | Error::Examined | Error::Contended { .. } => io::ErrorKind::WouldBlock,
            Error::Foreign { .. } => io::ErrorKind::AlreadyExists,
        };
        Self::new(kind, error)
    }
}

/// Why a file cannot be a lock that this process made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It belongs to another user, who could keep it locked forever.
    Owner(u32),
    /// It has other names, and another process may lock it under one of them.
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
