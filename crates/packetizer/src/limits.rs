//! How much may wait.

/// The bounds of a [`Mux`](crate::Mux).
///
/// At each of them except [`max_in_flight`](Self::max_in_flight), a call fails at once and nothing of it is sent. If it
/// waited instead, requests would no longer go out in the order of the calls. Replies that were delivered and that
/// their callers have not looked at yet are not bounded here: each is at most one frame, and there are at most as many
/// as calls were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    max_request: usize,
    max_outbox: usize,
    max_calls: usize,
    max_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_request: 16 << 20, max_outbox: 16 << 20, max_calls: 1 << 16, max_in_flight: usize::MAX }
    }
}

impl Limits {
    /// Bytes of one request, without its framing; 16 MiB by default. Beyond:
    /// [`Error::TooLarge`](crate::Error::TooLarge).
    #[must_use]
    pub const fn max_request(&self) -> usize {
        self.max_request
    }

    /// Sets [`max_request`](Self::max_request), in bytes.
    #[must_use]
    pub const fn with_max_request(self, bytes: usize) -> Self {
        Self { max_request: bytes, ..self }
    }

    /// Bytes of requests, framing included, that were not handed to the connection yet; 16 MiB by default. An empty
    /// outbox admits a single request of any size. Beyond: [`Error::OutboxFull`](crate::Error::OutboxFull).
    #[must_use]
    pub const fn max_outbox(&self) -> usize {
        self.max_outbox
    }

    /// Sets [`max_outbox`](Self::max_outbox), in bytes.
    #[must_use]
    pub const fn with_max_outbox(self, bytes: usize) -> Self {
        Self { max_outbox: bytes, ..self }
    }

    /// Calls without a reply, sent or not, cancelled ones included; 65 536 by default. Beyond:
    /// [`Error::TooManyCalls`](crate::Error::TooManyCalls).
    #[must_use]
    pub const fn max_calls(&self) -> usize {
        self.max_calls
    }

    /// Sets [`max_calls`](Self::max_calls).
    #[must_use]
    pub const fn with_max_calls(self, calls: usize) -> Self {
        Self { max_calls: calls, ..self }
    }

    /// Calls that may be handed to the connection and not answered yet; unlimited by default. Further calls wait in the
    /// outbox, in order. Use it for peers that stop reading, or end the connection, if there are too many requests at
    /// once. [Priming](crate::Urgency::Priming) calls and those that go [ahead](crate::Urgency::Ahead) are counted and
    /// not held back.
    #[must_use]
    pub const fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    /// Sets [`max_in_flight`](Self::max_in_flight); 0 means 1.
    #[must_use]
    pub const fn with_max_in_flight(self, calls: usize) -> Self {
        Self { max_in_flight: if calls == 0 { 1 } else { calls }, ..self }
    }
}
