//! A directory that does not exist.

/// What to do if the directory does not exist when watching starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Fail to start, with [`Error::Missing`](crate::Error::Missing).
    #[default]
    Refuse,
    /// Start, report that the directory is [missing](crate::Why::Missing), and wait until it is created.
    Wait,
    /// Create it and its missing parents, with this mode minus the process's umask. If it is deleted later, it is not
    /// created again; the watcher waits for it.
    Create {
        /// Permission bits, such as `0o700`.
        mode: u32,
    },
}
