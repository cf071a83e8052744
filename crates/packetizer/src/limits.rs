//! How much may wait.

/// The bounds of a [`Mux`](crate::Mux). At each of them a call fails at once, and nothing of it is sent:
/// making it wait would mean that the order of requests is no longer the order of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one request (default 16 MiB). Beyond: [`Error::TooLarge`](crate::Error::TooLarge).
    pub max_request: usize,
    /// Bytes of requests not yet handed to the connection (default 16 MiB); a single request is admitted to
    /// an empty outbox whatever this says. Beyond: [`Error::OutboxFull`](crate::Error::OutboxFull).
    pub max_outbox: usize,
    /// Calls without a reply, cancelled ones included (default 65 536). Beyond:
    /// [`Error::TooManyCalls`](crate::Error::TooManyCalls).
    pub max_calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_request: 16 << 20, max_outbox: 16 << 20, max_calls: 1 << 16 }
    }
}

impl Limits {
    /// Sets [`max_request`](Self::max_request), in bytes.
    #[must_use]
    pub fn max_request(self, bytes: usize) -> Self {
        Self { max_request: bytes, ..self }
    }

    /// Sets [`max_outbox`](Self::max_outbox), in bytes.
    #[must_use]
    pub fn max_outbox(self, bytes: usize) -> Self {
        Self { max_outbox: bytes, ..self }
    }

    /// Sets [`max_calls`](Self::max_calls).
    #[must_use]
    pub fn max_calls(self, calls: usize) -> Self {
        Self { max_calls: calls, ..self }
    }
}
