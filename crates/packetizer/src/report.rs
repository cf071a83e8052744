//! What became of the calls.

/// What became of the calls made on a [`Mux`](crate::Mux). `made` is the sum of the other counts, up to `unanswered`, and of
/// what still waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Calls admitted.
    pub made: u64,
    /// Calls whose reply was handed to their waiter.
    pub answered: u64,
    /// Calls whose reply was handed to their waiter, who could not decode it.
    pub undecodable: u64,
    /// Calls whose reply was skipped because it is over the limit.
    pub too_large: u64,
    /// Calls whose reply came after they had been cancelled, or after their deadline.
    pub late: u64,
    /// Calls whose deadline passed before they were sent; they never were.
    pub withdrawn: u64,
    /// Calls that the connection's end left without a reply and without having been sent.
    pub never_sent: u64,
    /// Calls that were sent and that the connection's end left without a reply.
    pub unanswered: u64,
    /// Calls whose deadline passed. Each is counted above, too, when its reply comes or the connection ends.
    pub timed_out: u64,
    /// Frames that were not asked for, and that the protocol allows.
    pub events: u64,
}
