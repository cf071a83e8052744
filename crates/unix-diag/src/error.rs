//! Why the table could not be read.

use std::io;

/// Why the table could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket for the query cannot be opened: no descriptors left, or a kernel or a sandbox without netlink.
    #[error("cannot open a socket to the kernel's socket table")]
    Open {
        /// The error from the operating system.
        source: io::Error,
    },
    /// The query could not be sent.
    #[error("cannot ask for the kernel's socket table")]
    Ask {
        /// The error from the operating system.
        source: io::Error,
    },
    /// The answer is incomplete.
    #[error("cannot read the kernel's socket table")]
    Read {
        /// The error from the operating system.
        source: io::Error,
    },
    /// The kernel does not support this query: it was built without `CONFIG_UNIX_DIAG`, or the module is not loaded.
    #[error("the kernel does not provide its table of sockets")]
    Rejected {
        /// The error from the kernel.
        source: io::Error,
    },
}

impl Error {
    /// Whether a retry may succeed without a change in the program.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Ask { .. } | Self::Read { .. } => true,
            Self::Rejected { .. } => false,
        }
    }
}
