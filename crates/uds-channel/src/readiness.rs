//! Readiness, which an event loop and a channel exchange.

/// Directions of a socket: those that an event loop should watch, or those that it found ready.
///
/// An error or a hang-up counts as both: reading and writing report it, in the right order with what arrived before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There may be something to read.
    pub readable: bool,
    /// There may be room to write.
    pub writable: bool,
}

impl Readiness {
    /// Neither direction.
    pub const NONE: Self = Self { readable: false, writable: false };
    /// Reading only.
    pub const READABLE: Self = Self { readable: true, writable: false };
    /// Writing only.
    pub const WRITABLE: Self = Self { readable: false, writable: true };
    /// Both directions.
    pub const BOTH: Self = Self { readable: true, writable: true };

    /// Whether it contains neither direction.
    #[must_use]
    pub const fn is_none(self) -> bool {
        !self.readable && !self.writable
    }
}

/// How much of the queue was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what is pending goes out only when the channel is run again as soon as the socket is writable"]
pub enum Flush {
    /// Everything was handed to the kernel.
    Done,
    /// The socket accepts no more now. [`Channel::interest`](super::Channel::interest) includes `writable` until it
    /// does.
    Pending {
        /// Bytes that are still queued.
        bytes: usize,
    },
}

impl Flush {
    /// Whether everything was handed to the kernel.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Done)
    }
}
