//! When to ask again for a socket that the kernel's table lacks.

use std::time::{Duration, Instant};

use socket_file::Answer;

/// How often a socket was asked for that the table lacks, and when it may be again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retry {
    is_lacked: bool,
    /// Tables in a row that lacked a socket which an earlier one had.
    absences: u8,
    /// Into [`PAUSES`](Self::PAUSES).
    next: u8,
    not_before: Option<Instant>,
}

impl Retry {
    /// Milliseconds between one time and the next.
    const PAUSES: [u64; 7] = [250, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000];

    /// It was asked for; `None` if nobody connects.
    pub(super) fn handle_answer(&mut self, answer: Option<Answer>, now: Instant) {
        // A server that accepted is a server that was disturbed.
        let least = if answer == Some(Answer::Accepted) { 2 } else { 0 };
        let step = usize::from(self.next).clamp(least, Self::PAUSES.len() - 1);
        self.next = (step + 1) as u8;
        self.not_before = Some(now + Duration::from_millis(Self::PAUSES[step]));
    }

    /// A table lacks it. Says whether that is so for the first time.
    pub(super) fn handle_lack(&mut self) -> bool {
        !std::mem::replace(&mut self.is_lacked, true)
    }

    /// A table lacks what an earlier one had, and nobody else can tell. Says whether that is so for the second time.
    pub(super) fn handle_absence(&mut self) -> bool {
        self.absences = self.absences.saturating_add(1);
        self.absences >= 2
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|time| time <= now)
    }
}
