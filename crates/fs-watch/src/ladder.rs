//! When to ask whether somebody listens by now. Pure: the time is an argument.
//!
//! `listen` leaves no trace in the filesystem and usually comes some microseconds after `bind`, on a busy machine a
//! tenth of a second. So for three seconds a new socket is asked about again and again, in growing steps; after that with
//! every safety look, like all others, and, as long as the kernel says that one is bound and does not listen, more often than
//! once a second.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Milliseconds after a socket has been seen first. At the last but one step a file that nothing is bound to is old enough
/// to be [stale](crate::liveness::GRACE), also if the first answer came late.
const STEPS: [u64; 13] = [0, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_100, 3_000];

/// While a socket is bound and does not listen, all are asked about so often: `listen` is to be noticed within a second.
const WHILE_BOUND: Duration = Duration::from_millis(750);

/// Asking because of that takes at most this part of the time.
const SHARE_WHILE_BOUND: u32 = 20;

/// Asking, whether it is about one socket or thousands, takes at most this part of the time.
const SHARE: u32 = 4;

/// The sockets that are young and not known to be served.
#[derive(Debug, Default)]
pub(crate) struct Ladder {
    climbers: HashMap<PathBuf, Climber>,
    rest_until: Option<Instant>,
    next_round: Option<Instant>,
}

#[derive(Debug)]
struct Climber {
    began: Instant,
    /// Into [`STEPS`].
    next: usize,
}

impl Climber {
    fn due(&self) -> Option<Instant> {
        STEPS.get(self.next).map(|step| self.began + Duration::from_millis(*step))
    }
}

impl Ladder {
    /// A socket has come.
    pub(crate) fn handle_arrival(&mut self, path: PathBuf, now: Instant) {
        self.climbers.insert(path, Climber { began: now, next: 0 });
    }

    /// It is known to be served, or gone.
    pub(crate) fn handle_settled(&mut self, path: &Path) {
        self.climbers.remove(path);
        self.give_back();
    }

    /// All sockets have been asked about, which began and ended then. Who has not settled climbs on.
    pub(crate) fn handle_round(&mut self, began: Instant, now: Instant) {
        let cost = now.saturating_duration_since(began);
        self.rest_until = Some(now + (SHARE - 1) * cost);
        self.next_round = Some(now + WHILE_BOUND.max((SHARE_WHILE_BOUND - 1) * cost));
        self.climbers.retain(|_, climber| {
            while climber.due().is_some_and(|due| due <= began) {
                climber.next += 1;
            }
            climber.due().is_some()
        });
        self.give_back();
    }

    /// After a burst there is room for many and nobody in it.
    fn give_back(&mut self) {
        if self.climbers.is_empty() {
            self.climbers.shrink_to(64);
        }
    }

    /// When to ask next on account of the young; `None` while there are none.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = self.climbers.values().filter_map(Climber::due).min()?;
        Some(self.rest_until.map_or(due, |rest| due.max(rest)))
    }

    /// When to ask next on account of a socket that is bound and does not listen.
    pub(crate) fn next_round(&self) -> Option<Instant> {
        self.next_round
    }

    /// Whether asking now would be too much.
    pub(crate) fn is_resting(&self, now: Instant) -> bool {
        self.rest_until.is_some_and(|rest| now < rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn a_young_socket_is_asked_about_in_growing_steps_and_then_no_more() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        assert_eq!(ladder.deadline(), None);
        ladder.handle_arrival("a".into(), start);
        let mut asked = Vec::new();
        while let Some(now) = ladder.deadline() {
            asked.push((now - start).as_millis() as u64);
            ladder.handle_round(now, now);
        }
        assert_eq!(asked, STEPS);
    }

    #[test]
    fn whoever_settles_is_asked_about_no_more() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        ladder.handle_arrival("a".into(), start);
        ladder.handle_arrival("b".into(), start + 3 * MILLISECOND);
        ladder.handle_round(start, start);
        ladder.handle_settled(Path::new("a"));
        assert_eq!(ladder.deadline(), Some(start + 3 * MILLISECOND));
        ladder.handle_settled(Path::new("b"));
        assert_eq!(ladder.deadline(), None);
    }

    #[test]
    fn a_late_round_counts_for_every_step_it_has_missed() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        ladder.handle_arrival("a".into(), start);
        ladder.handle_round(start + 30 * MILLISECOND, start + 30 * MILLISECOND);
        assert_eq!(ladder.deadline(), Some(start + 50 * MILLISECOND));
        // One that came while the round ran has not had its turn.
        ladder.handle_arrival("b".into(), start + 31 * MILLISECOND);
        ladder.handle_round(start + 30 * MILLISECOND, start + 30 * MILLISECOND);
        assert_eq!(ladder.deadline(), Some(start + 31 * MILLISECOND));
    }

    #[test]
    fn who_is_bound_is_asked_about_within_a_second_unless_that_costs_too_much() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        assert_eq!(ladder.next_round(), None);
        ladder.handle_round(start, start + MILLISECOND);
        assert_eq!(ladder.next_round(), Some(start + 751 * MILLISECOND));
        ladder.handle_round(start, start + 100 * MILLISECOND);
        assert_eq!(ladder.next_round(), Some(start + 2_000 * MILLISECOND));
    }

    #[test]
    fn a_costly_round_is_followed_by_a_rest() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        ladder.handle_arrival("a".into(), start);
        ladder.handle_round(start, start + 10 * MILLISECOND);
        assert_eq!(ladder.deadline(), Some(start + 40 * MILLISECOND));
        assert!(ladder.is_resting(start + 39 * MILLISECOND));
        assert!(!ladder.is_resting(start + 40 * MILLISECOND));
    }
}
