//! Writing to a stream that another task owns.

use std::{fmt, io, io::IoSlice};

/// Writes through a shared reference, without waiting.
pub trait WriteShared: Send + Sync + fmt::Debug {
    /// Writes as much as the kernel accepts now.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if that is nothing, and any other error of the operating system.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// The same, even if the runtime has not learned that there is room.
    ///
    /// # Errors
    ///
    /// See [`try_write_vectored`](Self::try_write_vectored).
    fn write_unannounced(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write_vectored(slices)
    }
}
