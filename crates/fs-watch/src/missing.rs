//! A directory that is not there.

/// What to do about a directory that is not there when the watching starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Refuse to start, with [`Error::Missing`].
    #[default]
    Refuse,
    /// Start, say that the directory is [missing](crate::Why::Missing), and wait until somebody makes it.
    Wait,
    /// Make it, and the directories above it that are missing, with this mode less the process's umask.
    /// If it is deleted later it is not made again, but waited for.
    Create {
        /// Permission bits: `0o700` and the like.
        mode: u32,
    },
}
