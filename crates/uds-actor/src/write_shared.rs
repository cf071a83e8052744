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

    /// The same, although the runtime may not have been told that there is room.
    ///
    /// # Errors
    ///
    /// As [`try_write_vectored`](Self::try_write_vectored).
    fn write_unannounced(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write_vectored(slices)
    }
}
