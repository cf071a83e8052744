//! Writing to a stream that another task owns.

use std::{fmt, io, io::IoSlice};

/// Writes from a shared reference, without waiting.
pub trait WriteShared: Send + Sync + fmt::Debug {
    /// Writes what the kernel takes now.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if that is nothing, and whatever the system says.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}
