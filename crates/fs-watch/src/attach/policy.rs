//! What an attachment allows its handlers: how many, how often, how long.

use std::time::Duration;

/// The limits of an [`Attached`](super::Attached) set of handlers.
///
/// A handler that fails is started again while its socket stays, after a pause that doubles with each run that was
/// short. Each short run counts against its path, also when it was a replacement that ended it, so that a socket which
/// is replaced again and again cannot keep us busy either; a run that lasts forgives them all.
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

/// When a handler is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// When the socket is there. Nobody need be listening yet: a handler that connects at once and fails is started again
    /// after a pause.
    #[default]
    Added,
    /// When somebody listens, as [`Event::Ready`](crate::Event::Ready) says; sockets on which nobody does have no handler.
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
    /// How long a handler that was asked to stop may take before it is aborted: five seconds unless set.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The pauses before a handler that failed is started again: this long at first, then twice as long each time, up
    /// to the longest. 100 ms and 30 s unless set.
    #[must_use]
    pub fn with_pauses(self, first: Duration, longest: Duration) -> Self {
        Self { first_pause: first, longest_pause: longest.max(first), ..self }
    }

    /// A run of this length forgives the short ones before it: ten seconds unless set.
    #[must_use]
    pub fn with_settled(self, settled: Duration) -> Self {
        Self { settled, ..self }
    }

    /// How many short runs in a row at one path do not delay the handler of a *new* socket there: 16 unless set. Beyond,
    /// it waits as one that failed does, and a socket replaced while it waits never gets a handler.
    #[must_use]
    pub fn with_grace(self, grace: u32) -> Self {
        Self { grace, ..self }
    }

    /// How many handlers may live at a time: 16,384 unless set, at least one. Further sockets wait for their turn in the
    /// order in which they came.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit: limit.max(1), ..self }
    }

    /// When to start handlers: when their socket is there, unless set.
    #[must_use]
    pub fn with_start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// The pause after so many short runs in a row.
    pub(super) fn pause(&self, strikes: u32) -> Duration {
        match strikes.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => self.first_pause.saturating_mul(1 << doublings.min(30)).min(self.longest_pause),
        }
    }

    /// How long short runs are remembered at a path where there is nothing.
    pub(super) fn memory(&self) -> Duration {
        self.longest_pause.saturating_mul(2)
    }
}
