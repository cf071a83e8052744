//! What an event loop and a channel tell each other.

/// Directions of a socket: those an event loop should watch, or those it found ready.
///
/// An error or a hang-up counts as both: it is learnt by reading and writing, in the right order with what arrived before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There may be something to read.
    pub readable: bool,
    /// There may be room to write.
    pub writable: bool,
}

impl Readiness {
    /// Neither.
    pub const NONE: Self = Self { readable: false, writable: false };
    /// Reading only.
    pub const READABLE: Self = Self { readable: true, writable: false };
    /// Writing only.
    pub const WRITABLE: Self = Self { readable: false, writable: true };
    /// Both.
    pub const BOTH: Self = Self { readable: true, writable: true };

    /// Whether neither direction is meant.
    #[must_use]
    pub const fn is_none(self) -> bool {
        !self.readable && !self.writable
    }
}

/// How far the queue got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what is pending goes out only when the channel is run again as soon as the socket is writable"]
pub enum Flush {
    /// All is handed to the kernel.
    Done,
    /// The socket takes no more now. [`Channel::interest`](super::Channel::interest) has `writable` until it did.
    Pending {
        /// Bytes that are left.
        bytes: usize,
    },
}

impl Flush {
    /// Whether all is handed to the kernel.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Done)
    }
}
