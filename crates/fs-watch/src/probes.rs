//! When to probe a new socket again. Pure: the time is an argument.
//!
//! `listen` leaves no trace in the filesystem. It usually comes some microseconds after `bind`, on a busy machine a
//! tenth of a second later. A new socket is therefore probed again and again for three seconds, at growing intervals;
//! after that with every safety scan, like all others. While the kernel says that a socket is bound and does not
//! listen, probes come more often than once a second.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Milliseconds after a socket was first seen. At the last step but one, a file to which nothing is bound is old enough
/// to be [stale](crate::liveness::GRACE), even if the first answer came late.
const STEPS: [u64; 13] = [0, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_100, 3_000];

/// While a socket is bound and does not listen, all are probed this often, so that `listen` is noticed within a second
/// even if the machine is busy and the watcher's thread runs late.
const WHILE_BOUND: Duration = Duration::from_millis(500);

/// Probing for that reason takes at most this fraction of the time.
const SHARE_WHILE_BOUND: u32 = 20;

/// Probing, of one socket or of thousands, takes at most this fraction of the time.
const SHARE: u32 = 4;

/// The sockets that are new and not known to be live.
#[derive(Debug, Default)]
pub(crate) struct PendingProbes {
    waiting: HashMap<PathBuf, Waiting>,
    rest_until: Option<Instant>,
    next_round: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    began: Instant,
    /// An index into [`STEPS`].
    next: usize,
}

impl Waiting {
    fn due(&self) -> Option<Instant> {
        STEPS.get(self.next).map(|step| self.began + Duration::from_millis(*step))
    }
}

impl PendingProbes {
    /// A socket has appeared.
    pub(crate) fn handle_arrival(&mut self, path: PathBuf, now: Instant) {
        self.waiting.insert(path, Waiting { began: now, next: 0 });
    }

    /// It is known to be live, or gone.
    pub(crate) fn handle_settled(&mut self, path: &Path) {
        self.waiting.remove(path);
        self.give_back();
    }

    /// All sockets have been probed, beginning and ending at these times. Those that are not settled move to the next
    /// step.
    pub(crate) fn handle_round(&mut self, began: Instant, now: Instant) {
        let cost = now.saturating_duration_since(began);
        self.rest_until = Some(now + (SHARE - 1) * cost);
        self.next_round = Some(now + WHILE_BOUND.max((SHARE_WHILE_BOUND - 1) * cost));
        self.waiting.retain(|_, socket| {
            while socket.due().is_some_and(|due| due <= began) {
                socket.next += 1;
            }
            socket.due().is_some()
        });
        self.give_back();
    }

    /// Releases memory after a burst, when the room for many is empty.
    fn give_back(&mut self) {
        if self.waiting.is_empty() {
            self.waiting.shrink_to(64);
        }
    }

    /// When to probe next because of new sockets; `None` if there are none.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = self.waiting.values().filter_map(Waiting::due).min()?;
        Some(self.rest_until.map_or(due, |rest| due.max(rest)))
    }

    /// When to probe next because of a socket that is bound and does not listen.
    pub(crate) fn next_round(&self) -> Option<Instant> {
        self.next_round
    }

    /// Whether probing now would take too much time.
    pub(crate) fn is_resting(&self, now: Instant) -> bool {
        self.rest_until.is_some_and(|rest| now < rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn a_new_socket_is_probed_at_growing_intervals_for_three_seconds() {
        let start = Instant::now();
        let mut probes = PendingProbes::default();
        assert_eq!(probes.deadline(), None);
        probes.handle_arrival("a".into(), start);
        let mut asked = Vec::new();
        while let Some(now) = probes.deadline() {
            asked.push((now - start).as_millis() as u64);
            probes.handle_round(now, now);
        }
        assert_eq!(asked, STEPS);
    }

    #[test]
    fn a_settled_socket_is_not_probed_again() {
        let start = Instant::now();
        let mut probes = PendingProbes::default();
        probes.handle_arrival("a".into(), start);
        probes.handle_arrival("b".into(), start + 3 * MILLISECOND);
        probes.handle_round(start, start);
        probes.handle_settled(Path::new("a"));
        assert_eq!(probes.deadline(), Some(start + 3 * MILLISECOND));
        probes.handle_settled(Path::new("b"));
        assert_eq!(probes.deadline(), None);
    }

    #[test]
    fn a_late_round_counts_for_every_step_it_has_missed() {
        let start = Instant::now();
        let mut probes = PendingProbes::default();
        probes.handle_arrival("a".into(), start);
        probes.handle_round(start + 30 * MILLISECOND, start + 30 * MILLISECOND);
        assert_eq!(probes.deadline(), Some(start + 50 * MILLISECOND));
        // A socket that appeared during the round was not probed in it.
        probes.handle_arrival("b".into(), start + 31 * MILLISECOND);
        probes.handle_round(start + 30 * MILLISECOND, start + 30 * MILLISECOND);
        assert_eq!(probes.deadline(), Some(start + 31 * MILLISECOND));
    }

    #[test]
    fn a_bound_socket_is_probed_within_a_second_unless_that_costs_too_much() {
        let start = Instant::now();
        let mut probes = PendingProbes::default();
        assert_eq!(probes.next_round(), None);
        probes.handle_round(start, start + MILLISECOND);
        assert_eq!(probes.next_round(), Some(start + 501 * MILLISECOND));
        probes.handle_round(start, start + 100 * MILLISECOND);
        assert_eq!(probes.next_round(), Some(start + 2_000 * MILLISECOND));
    }

    #[test]
    fn a_costly_round_is_followed_by_a_rest() {
        let start = Instant::now();
        let mut probes = PendingProbes::default();
        probes.handle_arrival("a".into(), start);
        probes.handle_round(start, start + 10 * MILLISECOND);
        assert_eq!(probes.deadline(), Some(start + 40 * MILLISECOND));
        assert!(probes.is_resting(start + 39 * MILLISECOND));
        assert!(!probes.is_resting(start + 40 * MILLISECOND));
    }
}
