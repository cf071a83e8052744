//! How many descriptors may wait.

/// The maximum for one frame (`SCM_MAX_FD`, `unix(7)`).
pub const MAX_PER_FRAME: usize = 253;

/// How many descriptors a connection may hold in each direction.
///
/// Delivered descriptors belong to the application, and do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    held: usize,
    queued: usize,
}

impl Limits {
    /// The default of both limits: 253, one frame with the maximum.
    pub const DEFAULT: usize = MAX_PER_FRAME;

    /// Sets how many received descriptors may wait for the receiver; at least 1.
    ///
    /// At the limit nothing more is read, and the kernel makes the peer wait. The last read may exceed it by the 253 of
    /// one frame, and as many may have arrived for an incomplete frame.
    #[must_use]
    pub const fn with_held(mut self, descriptors: usize) -> Self {
        self.held = if descriptors == 0 { 1 } else { descriptors };
        self
    }

    /// Sets how many may wait to be sent. At the limit, the outbox counts as full, and sending does what
    /// [`Actor::on_full`](crate::Actor::on_full) says. A frame with more descriptors goes alone.
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
