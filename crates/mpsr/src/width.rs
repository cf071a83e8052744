//! How many columns a terminal has.

use std::os::fd::BorrowedFd;

use rustix::termios::tcgetwinsize;

/// Columns of a terminal; 80 where it does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Width(pub(crate) usize);

impl Width {
    const DEFAULT: Self = Self(80);
    /// A narrower terminal shows nothing that could be read, and leaves no room for a mark at the start of a row.
    const LEAST: Self = Self(20);

    /// Asked each time, because a window can be resized.
    pub(crate) fn of(terminal: BorrowedFd<'_>) -> Self {
        match tcgetwinsize(terminal) {
            Ok(size) if size.ws_col > 0 => Self(usize::from(size.ws_col).max(Self::LEAST.0)),
            _ => Self::DEFAULT,
        }
    }
}
