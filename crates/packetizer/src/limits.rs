//! How much may wait.

/// The bounds of a [`Mux`](crate::Mux).
///
/// At each of them a call fails at once, and nothing of it is sent: making it wait would mean that the order of requests
/// is no longer the order of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    max_request: usize,
    max_outbox: usize,
    max_calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_request: 16 << 20, max_outbox: 16 << 20, max_calls: 1 << 16 }
    }
}

impl Limits {
    /// Bytes of one request; 16 MiB by default. Beyond: [`Error::TooLarge`](crate::Error::TooLarge).
    #[must_use]
    pub const fn max_request(&self) -> usize {
        self.max_request
    }

    /// Sets [`max_request`](Self::max_request), in bytes.
    #[must_use]
    pub const fn with_max_request(self, bytes: usize) -> Self {
        Self { max_request: bytes, ..self }
    }

    /// Bytes of requests not yet handed to the connection; 16 MiB by default. A single request is admitted to an empty
    /// outbox whatever this says. Beyond: [`Error::OutboxFull`](crate::Error::OutboxFull).
    #[must_use]
    pub const fn max_outbox(&self) -> usize {
        self.max_outbox
    }

    /// Sets [`max_outbox`](Self::max_outbox), in bytes.
    #[must_use]
    pub const fn with_max_outbox(self, bytes: usize) -> Self {
        Self { max_outbox: bytes, ..self }
    }

    /// Calls without a reply, cancelled ones included; 65 536 by default. Beyond:
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
}
