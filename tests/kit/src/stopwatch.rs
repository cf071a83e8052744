//! Bounds on time that are those of the documentation, on a machine that may be busy.

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long the thread beside the work sleeps at a time.
const NAP: Duration = Duration::from_millis(1);

/// Compares how long something takes with what is promised.
///
/// A thread beside it sleeps again and again, and adds up how late it wakes: that is what other programs on the machine take from
/// a program that has something to do. A promised bound is extended by that sum, which is almost nothing on an idle machine.
#[derive(Debug)]
pub struct Stopwatch {
    started: Instant,
    /// In nanoseconds.
    lost: Arc<AtomicU64>,
}

impl Stopwatch {
    /// Starts to count.
    pub fn start() -> Self {
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::downgrade(&lost);
        // It ends with the stopwatch.
        thread::spawn(move || {
            while let Some(lost) = counter.upgrade() {
                let began = Instant::now();
                thread::sleep(NAP);
                let late = began.elapsed().saturating_sub(2 * NAP);
                lost.fetch_add(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Self { started: Instant::now(), lost }
    }

    /// That `what` has taken no longer than this.
    ///
    /// # Panics
    ///
    /// It has.
    pub fn assert_within(&self, bound: Duration, what: impl Display) {
        let took = self.started.elapsed();
        let lost = Duration::from_nanos(self.lost.load(Ordering::Relaxed));
        assert!(took <= bound + lost, "{what}: {took:?} instead of {bound:?} (others took {lost:?})");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a second: ")]
    fn what_takes_too_long_is_found() {
        let stopwatch = Stopwatch::start();
        thread::sleep(Duration::from_secs(1));
        // Even if others took half of it.
        stopwatch.assert_within(Duration::from_millis(10), "a second");
    }
}
