//! What happened to the calls.

/// What happened to the calls made on a [`Mux`](crate::Mux). `made` is the sum of the other counts up to `unanswered`
/// and of the pending calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Calls admitted.
    pub made: u64,
    /// Calls that handed a reply to their waiter.
    pub answered: u64,
    /// Calls that handed a reply to their waiter, which could not decode it.
    pub undecodable: u64,
    /// Calls with a reply that was skipped because it is over the limit.
    pub too_large: u64,
    /// Calls with a reply that came after they had been cancelled, or after their deadline.
    pub late: u64,
    /// Calls that reached their deadline before they were sent. They are never sent.
    pub withdrawn: u64,
    /// Calls that were not sent and had no reply when the connection ended.
    pub never_sent: u64,
    /// Calls that were sent and had no reply when the connection ended.
    pub unanswered: u64,
    /// Calls that reached their deadline. Each also counts above, once its reply comes or the connection ends.
    pub timed_out: u64,
    /// Frames that answer no request and that the protocol allows.
    pub events: u64,
}
