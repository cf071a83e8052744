//! What can be asked of a single call.

use std::time::Instant;

/// How one call is made. The default: behind everything that was called before, without a deadline, within the limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    pub(crate) urgency: Urgency,
    pub(crate) deadline: Option<Instant>,
    pub(crate) beyond_limits: bool,
}

/// A call's place among the calls that were not sent yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Urgency {
    /// Behind every call that was made before.
    #[default]
    Queued,
    /// Before the queued calls, behind others of its kind: a ping must not wait for megabytes.
    Ahead,
    /// Before the queued calls, which are held back until every priming call has its reply: a handshake, an authentication,
    /// whatever a connection needs before it can be used. It belongs to one connection and does not survive it.
    Priming,
}

impl Options {
    /// The default.
    #[must_use]
    pub const fn new() -> Self {
        Self { urgency: Urgency::Queued, deadline: None, beyond_limits: false }
    }

    /// Sets the call's place in the order.
    #[must_use]
    pub const fn with_urgency(self, urgency: Urgency) -> Self {
        Self { urgency, ..self }
    }

    /// Fails the call with [`Error::TimedOut`](crate::Error::TimedOut) when it has no reply at this time. A request of which
    /// no byte was written by then is withdrawn and never sent. The reply to one that was sent is recognised when it comes,
    /// and counted as late.
    #[must_use]
    pub const fn with_deadline(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Admits the call although the outbox is full or too many calls wait: for what keeps the connection itself going. Who
    /// uses it sees to it that there are few.
    #[must_use]
    pub const fn beyond_limits(self) -> Self {
        Self { beyond_limits: true, ..self }
    }
}

/// What becomes of the calls that were not sent when a connection ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unsent {
    /// They fail with [`Error::NeverSent`](crate::Error::NeverSent), and so do later calls until there is another connection.
    #[default]
    Fail,
    /// Queued ones stay, in their order, for the next connection, and more may be queued. Those that go
    /// [ahead](Urgency::Ahead) or [prime](Urgency::Priming) the connection fail: they belonged to it.
    Keep,
}
