//! How many descriptors may wait.

/// The most that one frame can carry (`SCM_MAX_FD`, `unix(7)`).
pub const MAX_PER_FRAME: usize = 253;

/// How many descriptors a connection may hold that are on their way, in either direction.
///
/// Those that were delivered are the application's, and not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    held: usize,
    queued: usize,
}

impl Limits {
    /// Both limits unless others are set: 253, which is one frame with as many as there can be.
    pub const DEFAULT: usize = MAX_PER_FRAME;

    /// Sets how many received descriptors may wait for the receiver; at least 1.
    ///
    /// At the limit nothing more is read, and the kernel holds the peer back. The last read may go over it by the 253 of one
    /// frame, and as many may have come of a frame that is not complete.
    #[must_use]
    pub const fn with_held(mut self, descriptors: usize) -> Self {
        self.held = if descriptors == 0 { 1 } else { descriptors };
        self
    }

    /// Sets how many may wait to be sent. At the limit the outbox is full, and sending does what
    /// [`Actor::on_full`](crate::Actor::on_full) says. A frame with more goes alone.
    #[must_use]
    pub const fn with_queued(mut self, descriptors: usize) -> Self {
        self.queued = descriptors;
        self
    }

    /// How many received descriptors may wait for the receiver.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// How many may wait to be sent.
    #[must_use]
    pub const fn queued(&self) -> usize {
        self.queued
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { held: Self::DEFAULT, queued: Self::DEFAULT }
    }
}
