//! Errors of the sources of messages.

/// A source of producers does not work, or no longer works.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A listener could not be bound, or its name could not be bound again.
    #[error(transparent)]
    Bind(uds_actor::BindError),
    /// A listener broke. Its connections stay.
    #[error(transparent)]
    Accept(uds_actor::AcceptError),
    /// A socket in a directory, or a member, cannot be connected to.
    #[cfg(feature = "dir")]
    #[error(transparent)]
    Connect(uds_actor::ConnectError),
    /// A socket in a directory, or a member, was connected to, and its user is not known. The connection was closed.
    #[cfg(feature = "dir")]
    #[error(transparent)]
    Peer(uds_actor::PeerError),
    /// A directory cannot be watched.
    #[cfg(feature = "dir")]
    #[error(transparent)]
    Watch(fs_watch::Error),
    /// A connection cannot be accepted because of a shortage of descriptors or memory. It waits, and the listener tries
    /// again after a pause. Reported once for each shortage.
    #[error("cannot accept on {address} for now")]
    Shortage {
        /// The listener.
        address: uds_actor::Address,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A listener ended during a shortage of descriptors or memory. Connections that were waiting are lost; they cannot
    /// be counted, so there may have been none.
    #[error("connections that waited on {address} may be lost: they could not be accepted before the end")]
    Undrained {
        /// The listener.
        address: uds_actor::Address,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The watcher of a directory has ended: the funnel does not find sockets that appear from now on. Existing
    /// connections stay.
    #[error("the directory is not watched any longer")]
    WatcherEnded,
    /// A feature of the system is missing. The listener or the directory works with a limitation.
    #[error("{why}")]
    Limited {
        /// What is missing, and the consequence.
        why: String,
    },
    /// The builder has no listener, directory or stream of members.
    #[error("a funnel needs at least one listener or directory")]
    NoSource,
    /// The list of sockets may be out of date for now. Existing connections are not affected.
    #[error("the list of sockets may be out of date: {why}")]
    Degraded {
        /// The watcher's reason.
        why: String,
    },
}

impl Error {
    /// Whether the same operation may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Bind(error) => error.is_retryable(),
            #[cfg(feature = "dir")]
            Self::Connect(error) => error.is_retryable(),
            #[cfg(feature = "dir")]
            Self::Peer(_) => false,
            #[cfg(feature = "dir")]
            Self::Watch(error) => error.is_retryable(),
            Self::Degraded { .. } | Self::Shortage { .. } => true,
            Self::Accept(_) | Self::NoSource | Self::Limited { .. } | Self::Undrained { .. } | Self::WatcherEnded => {
                false
            }
        }
    }
}
