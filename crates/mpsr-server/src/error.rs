//! What can go wrong with the sources of messages.

/// A source of producers that does not work, or no longer works.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A listener could not be bound, or broke; or a socket in a directory cannot be connected to.
    #[error(transparent)]
    Socket(uds_actor::Error),
    /// A directory cannot be watched.
    #[cfg(feature = "dir")]
    #[error(transparent)]
    Watch(fs_watch::Error),
    /// A connection cannot be accepted for want of descriptors or memory. It waits, and the listener tries again after a pause.
    /// Reported once for each shortage.
    #[error("cannot accept on {address} for now")]
    Shortage {
        /// The listener.
        address: uds_actor::Address,
        /// What the system said.
        source: std::io::Error,
    },
    /// A listener ended while connections could not be accepted for want of descriptors or memory. Those that waited are
    /// lost, if there were any: they cannot be counted.
    #[error("connections that waited on {address} may be lost: they could not be accepted before the end")]
    Undrained {
        /// The listener.
        address: uds_actor::Address,
        /// What the system said.
        source: std::io::Error,
    },
    /// The watcher of a directory has ended: sockets that appear from here on are not found. Those that are connected stay.
    #[error("the directory is not watched any longer")]
    WatcherEnded,
    /// A feature is missing here. The listener, or the directory, works with a limitation.
    #[error("{why}")]
    Limited {
        /// What is missing, and what that means.
        why: String,
    },
    /// The builder has no listener, directory or stream of members.
    #[error("a funnel needs at least one listener or directory")]
    NoSource,
    /// The list of sockets may be out of date for now. Existing connections are not affected.
    #[error("the list of sockets may be out of date: {why}")]
    Degraded {
        /// What the watcher said.
        why: String,
    },
}

impl Error {
    /// Whether the same may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Socket(error) => error.is_retryable(),
            #[cfg(feature = "dir")]
            Self::Watch(error) => error.is_retryable(),
            Self::Degraded { .. } | Self::Shortage { .. } => true,
            Self::NoSource | Self::Limited { .. } | Self::Undrained { .. } | Self::WatcherEnded => false,
        }
    }
}
