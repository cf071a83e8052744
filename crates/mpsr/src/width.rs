//! How many columns a terminal has.

use std::os::fd::BorrowedFd;

use rustix::termios::tcgetwinsize;

/// The columns of a terminal; 80 if it does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Width(pub(crate) usize);

impl Width {
    const DEFAULT: Self = Self(80);
    /// A narrower terminal could show nothing readable, and has no room for a mark at the start of a row.
    const LEAST: Self = Self(20);

    /// Queried each time, because a window can be resized.
    pub(crate) fn of(terminal: BorrowedFd<'_>) -> Self {
        match tcgetwinsize(terminal) {
            Ok(size) if size.ws_col > 0 => Self(usize::from(size.ws_col).max(Self::LEAST.0)),
            _ => Self::DEFAULT,
        }
    }
}
