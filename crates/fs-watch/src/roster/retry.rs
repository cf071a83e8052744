//! When to probe a socket again that the kernel's table lacks.

use std::time::{Duration, Instant};

use socket_file::Answer;

/// How often a socket that the table lacks was probed, and when it may be probed again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retry {
    /// When a table first lacked it. It has been watched since then, whatever the wall clock says about its file.
    since: Option<Instant>,
    is_lacked: bool,
    /// How many tables in a row lacked a socket that an earlier one had.
    absences: u8,
    /// An index into [`PAUSES`](Self::PAUSES).
    next: u8,
    not_before: Option<Instant>,
}

impl Retry {
    /// Milliseconds between one probe and the next. The third probe comes when the file has been watched for two
    /// seconds: a file to which nothing is bound is stale then, and in the end probed once a minute, even if there are
    /// thousands.
    const PAUSES: [u64; 9] = [250, 1_750, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000];

    /// For a server that noticed the probe.
    const AFTER_ACCEPTED: usize = 4;

    /// For a socket that is bound: it may begin to listen, or close, which only a probe shows.
    const WHILE_BOUND: Duration = Duration::from_secs(5);

    /// The same if a connection shows that it does not listen.
    const WHILE_REFUSING: Duration = Duration::from_millis(700);

    /// It was probed; `None` if it must not be.
    pub(super) fn handle_answer(&mut self, answer: Option<Answer>, now: Instant) {
        // A server that accepted was disturbed.
        let least = if answer == Some(Answer::Accepted) { Self::AFTER_ACCEPTED } else { 0 };
        let step = usize::from(self.next).clamp(least, Self::PAUSES.len() - 1);
        self.next = (step + 1) as u8;
        let pause = Duration::from_millis(Self::PAUSES[step]);
        let most = match answer {
            Some(Answer::Refused) => Self::WHILE_REFUSING,
            Some(Answer::Bound) => Self::WHILE_BOUND,
            _ => Duration::MAX,
        };
        self.not_before = Some(now + pause.min(most));
    }

    /// Something may have happened to it: it may be probed at once.
    pub(super) fn restart(&mut self) {
        *self = Self { since: self.since, ..Self::default() };
    }

    /// A table lacks it, or there is none.
    pub(super) fn handle_table(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// How long it has been watched without a table that has it.
    pub(super) fn watched(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// A table lacks it. Returns whether that is so for the first time.
    pub(super) fn handle_lack(&mut self) -> bool {
        !std::mem::replace(&mut self.is_lacked, true)
    }

    /// A table lacks what an earlier one had, and no other answer can decide. Returns whether that is so for the second
    /// time.
    pub(super) fn handle_absence(&mut self) -> bool {
        self.absences = self.absences.saturating_add(1);
        self.absences >= 2
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|time| time <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pause after this many equal answers.
    fn pause_after(answer: Option<Answer>, answers: usize) -> Duration {
        let now = Instant::now();
        let mut retry = Retry::default();
        (0..answers).for_each(|_| retry.handle_answer(answer, now));
        let is_due = |pause: &u64| retry.is_due(now + Duration::from_millis(*pause));
        Duration::from_millis((0..=60_000).find(is_due).expect("a minute is the longest pause"))
    }

    #[test]
    fn pauses_grow_as_far_as_the_answer_allows() {
        for (answer, first, last) in [
            (Some(Answer::Bound), 250, 5_000),
            (Some(Answer::Refused), 250, 700),
            (Some(Answer::Accepted), 5_000, 60_000),
            (None, 250, 60_000),
        ] {
            let found = [1, 20].map(|answers| pause_after(answer, answers));
            assert_eq!(found, [first, last].map(Duration::from_millis), "{answer:?}");
        }
    }
}
