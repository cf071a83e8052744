//! When to scan, and when to try again. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// How often to scan while hints cannot be trusted.
pub(crate) const WHILE_TROUBLED: Duration = Duration::from_millis(250);

/// When the next complete scan is due.
#[derive(Debug)]
pub(crate) struct Pace {
    /// The time between periodic scans.
    interval: Duration,
    next: Instant,
    rest_until: Instant,
}

impl Pace {
    pub(crate) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, next: now, rest_until: now }
    }

    /// `spread`, from 0 to 1, takes up to a tenth off the interval, so that many watchers that were started together do
    /// not keep scanning at the same moments.
    pub(crate) fn handle_scan(&mut self, began: Instant, now: Instant, well: bool, spread: f64) {
        let interval = if well { self.interval } else { self.interval.min(WHILE_TROUBLED) };
        self.next = now + interval.mul_f64(1.0 - spread.clamp(0.0, 1.0) / 10.0);
        // Scans take at most a third of the time, however fast the directory changes.
        self.rest_until = now + 2 * now.saturating_duration_since(began);
    }

    /// When to scan if nothing happens; `asked` if a hint already requires a complete scan.
    pub(crate) fn deadline(&self, asked: bool) -> Instant {
        if asked { self.rest_until } else { self.next.max(self.rest_until) }
    }
}

/// When to retry something that keeps failing: at once, then after growing pauses.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    last: Option<Instant>,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(30);
    /// After so long without a failure, earlier ones are forgotten.
    const MEMORY: Duration = Duration::from_secs(60);

    pub(crate) fn handle_failure(&mut self, now: Instant) {
        let recent = self.last.is_some_and(|last| now.saturating_duration_since(last) < Self::MEMORY);
        self.failures = if recent { self.failures.saturating_add(1) } else { 1 };
        self.last = Some(now);
    }

    pub(crate) fn is_ready(&self, now: Instant) -> bool {
        let pause = match self.failures {
            0 | 1 => Duration::ZERO,
            more => (Self::FIRST * (1 << (more - 2).min(10))).min(Self::LONGEST),
        };
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn looks_come_at_the_interval_and_more_often_in_trouble() {
        let start = Instant::now();
        let mut pace = Pace::new(5 * SECOND, start);
        pace.handle_scan(start, start, true, 0.0);
        assert_eq!(pace.deadline(false), start + 5 * SECOND);
        pace.handle_scan(start, start, true, 1.0);
        assert_eq!(pace.deadline(false), start + Duration::from_millis(4500));
        pace.handle_scan(start, start, false, 0.0);
        assert_eq!(pace.deadline(false), start + WHILE_TROUBLED);
    }

    #[test]
    fn a_requested_scan_waits_only_for_the_rest_of_the_pause() {
        let start = Instant::now();
        let mut pace = Pace::new(5 * SECOND, start);
        pace.handle_scan(start, start + SECOND, true, 0.0);
        assert_eq!(pace.deadline(true), start + 3 * SECOND);
    }

    #[test]
    fn a_short_interval_does_not_take_the_rest_away() {
        let start = Instant::now();
        let mut pace = Pace::new(SECOND / 1000, start);
        pace.handle_scan(start, start + SECOND, true, 0.0);
        assert_eq!(pace.deadline(false), start + 3 * SECOND);
    }

    #[test]
    fn the_first_retry_is_immediate_and_the_pauses_grow_to_a_limit() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        assert!(backoff.is_ready(now));
        let mut pauses = Vec::new();
        for _ in 0..40 {
            backoff.handle_failure(now);
            let mut pause = Duration::ZERO;
            while !backoff.is_ready(now + pause) {
                pause += Duration::from_millis(250);
            }
            now += pause;
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses[..5], [0, 250, 500, 1000, 2000]);
        assert_eq!(pauses[39], 30_000);
        now += Backoff::MEMORY;
        backoff.handle_failure(now);
        assert!(backoff.is_ready(now));
    }
}
