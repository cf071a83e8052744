//! Limits for handlers: how many, how often, how long.

use std::time::Duration;

/// The limits of an [`Attached`](super::Attached) set of handlers, or of a [`Supervisor`](super::Supervisor).
///
/// A handler that fails is restarted while its socket stays, after a pause that doubles with each short run for that
/// socket. Each short run also counts against its path, even if a replacement of the socket ended it, so that a socket
/// which is replaced again and again cannot keep us busy: beyond the [grace](Self::with_grace), these runs count for the
/// pauses of new sockets, too. A long run clears both counts.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) patience: Duration,
    pub(super) first_pause: Duration,
    pub(super) longest_pause: Duration,
    pub(super) settled: Duration,
    pub(super) grace: u32,
    pub(super) limit: usize,
    pub(super) start: Start,
}

/// When to start a handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// When the socket is there. It need not be live yet: a handler that connects at once and fails is restarted after
    /// a pause.
    #[default]
    Added,
    /// When the socket is live, as [`Event::Ready`](crate::Event::Ready) reports. Sockets that are not live have no
    /// handler.
    Ready,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(5),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(30),
            settled: Duration::from_secs(10),
            grace: 16,
            limit: 16_384,
            start: Start::default(),
        }
    }
}

impl Policy {
    /// How long a handler that was asked to stop may take before it is aborted: five seconds by default. With
    /// [`Duration::MAX`] it is never aborted.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The pauses before a failed handler is restarted: this long at first, then twice as long each time, up to the
    /// longest. 100 ms and 30 s by default.
    #[must_use]
    pub fn with_pauses(self, first: Duration, longest: Duration) -> Self {
        Self { first_pause: first, longest_pause: longest.max(first), ..self }
    }

    /// A run of this length clears the count of short runs: ten seconds by default.
    #[must_use]
    pub fn with_settled(self, settled: Duration) -> Self {
        Self { settled, ..self }
    }

    /// How many short runs in a row at one path do not delay the handler of a *new* socket there: 16 by default. After
    /// that it waits like a failed handler, and a socket that is replaced while it waits never gets a handler.
    #[must_use]
    pub fn with_grace(self, grace: u32) -> Self {
        Self { grace, ..self }
    }

    /// How many handlers may run at the same time: 16,384 by default, at least one. Further sockets wait in the order
    /// in which they appeared.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit: limit.max(1), ..self }
    }

    /// When to start handlers: by default when their socket is there.
    #[must_use]
    pub fn with_start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// The pause after this many short runs in a row.
    pub(super) fn pause(&self, strikes: u32) -> Duration {
        match strikes.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => self.first_pause.saturating_mul(1 << doublings.min(30)).min(self.longest_pause),
        }
    }

    /// How long short runs are remembered for a path without a socket.
    pub(super) fn memory(&self) -> Duration {
        self.longest_pause.saturating_mul(2)
    }
}
