//! The budget of one poll of a packet actor.

/// Bytes moved in one poll, in each direction, before other tasks run and requests are checked again.
pub(super) const BUDGET: usize = 256 << 10;

/// The minimum cost of a packet, however small: its system call.
const LEAST_COST: usize = 1 << 10;

/// Bytes that may still be moved in this poll.
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(BUDGET)
    }
}

impl Budget {
    pub(super) const fn is_spent(&self) -> bool {
        self.0 == 0
    }

    /// Charges for a packet of this length.
    pub(super) fn spend(&mut self, len: usize) {
        self.0 = self.0.saturating_sub(len.max(LEAST_COST));
    }
}
