//! Options of a single call.

use std::time::Instant;

/// How to make one call. The default: behind every earlier call, without a deadline, within the limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    pub(crate) urgency: Urgency,
    pub(crate) deadline: Option<Instant>,
    pub(crate) beyond_limits: bool,
}

/// A call's place among the calls that were not sent yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Urgency {
    /// Behind every earlier call.
    #[default]
    Queued,
    /// Before the queued calls and behind other calls of this kind. For a ping, which must not wait for megabytes.
    Ahead,
    /// Before the queued calls, which are held back until every priming call has its reply. For a handshake, an
    /// authentication, or anything else that a connection needs first. The call belongs to one connection and does not
    /// survive it.
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

    /// Fails the call with [`Error::TimedOut`](crate::Error::TimedOut) if it has no reply at this time. If no byte of
    /// the request was written by then, it is withdrawn and never sent. If it was sent, its reply is recognised when it
    /// comes, and counted as late.
    #[must_use]
    pub const fn with_deadline(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Admits the call even if the outbox is full or too many calls are pending. Use it only for the few calls that
    /// keep the connection itself alive.
    #[must_use]
    pub const fn beyond_limits(self) -> Self {
        Self { beyond_limits: true, ..self }
    }
}

/// What happens to calls that were not sent when a connection ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unsent {
    /// They fail with [`Error::NeverSent`](crate::Error::NeverSent), and so do later calls until there is another connection.
    #[default]
    Fail,
    /// Queued calls stay, in their order, for the next connection, and more may be queued. Calls that go
    /// [ahead](Urgency::Ahead) or [prime](Urgency::Priming) the connection fail, because they belonged to it.
    Keep,
}
