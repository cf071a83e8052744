//! Why the table could not be read.

use std::io;

/// Why the table could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such socket to be had: no descriptors left, or a kernel or a sandbox without netlink.
    #[error("cannot open a socket to the kernel's socket table")]
    Open {
        /// What the operating system said.
        source: io::Error,
    },
    /// The question could not be put.
    #[error("cannot ask for the kernel's socket table")]
    Ask {
        /// What the operating system said.
        source: io::Error,
    },
    /// The answer broke off.
    #[error("cannot read the kernel's socket table")]
    Read {
        /// What the operating system said.
        source: io::Error,
    },
    /// The kernel does not answer this question: it was built without `CONFIG_UNIX_DIAG`, or the module is not loaded.
    #[error("the kernel does not tell its socket table")]
    Refused {
        /// What it said.
        source: io::Error,
    },
}

impl Error {
    /// Whether asking again may succeed with nothing changed in the program.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Ask { .. } | Self::Read { .. } => true,
            Self::Refused { .. } => false,
        }
    }
}
