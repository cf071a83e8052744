//! Memory after a burst.
//!
//! Connections give their buffers back when they have come to rest, but glibc's allocator keeps them, for two reasons:
//!
//! - A freed block goes back to the system only from the end of the heap, and one small object that lives longer keeps
//!   everything in front of it: 1,000 connections with one message of 60 KiB each left 118 MB behind, of which 8 MB were in
//!   use. `malloc_trim(3)` gives back every page that nothing lies in.
//! - A large block has a mapping of its own, which goes as soon as it is freed; but the first that is freed raises the size
//!   from which that holds, to up to 32 MiB (`mallopt(3)`). With the size set it stays.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A burst is over when less than this moves in a period, in bytes.
const LITTLE: u64 = 1 << 20;
/// Long enough for connections to have given their buffers back.
const PERIOD: Duration = Duration::from_secs(1);
/// On a busy machine some of them come to rest later: how often a burst is over, the second time after two periods more.
const TIMES: u8 = 2;

/// What an event costs at least besides its bytes: the state of a connection, a buffer.
const EVENT: u64 = 4 << 10;

/// Notices that a burst is over.
///
/// A busy program pays one addition for each event; one at rest has no timer.
#[derive(Debug)]
pub(crate) struct Burst {
    /// Bytes moved in the current period.
    moved: u64,
    /// When the current period ends, if there was a burst that is not over.
    until: Option<Instant>,
    /// How often that burst is still to be called over.
    times: u8,
}

impl Burst {
    pub(crate) const fn new() -> Self {
        Self { moved: 0, until: None, times: 0 }
    }

    /// Counts an event with so many bytes.
    pub(crate) fn note(&mut self, bytes: u64) {
        self.moved += EVENT + bytes;
        if self.moved >= LITTLE && self.times < TIMES {
            self.until = Some(Instant::now() + PERIOD);
            self.moved = 0;
            self.times = TIMES;
        }
    }

    /// Waits until a burst is over; without one, without end. A burst is over twice. Cancel safe.
    pub(crate) async fn over(&mut self) {
        loop {
            let Some(until) = self.until else { return std::future::pending().await };
            sleep_until(until).await;
            let is_over = self.moved < LITTLE;
            self.moved = 0;
            if !is_over {
                self.until = Some(Instant::now() + PERIOD);
                continue;
            }
            self.times = self.times.saturating_sub(1);
            self.until = (self.times > 0).then(|| Instant::now() + 2 * PERIOD);
            return;
        }
    }
}

/// From this size on a block has a mapping of its own: glibc's initial value.
#[cfg(target_env = "gnu")]
const OWN_MAPPING: i32 = 128 << 10;

/// Sets the allocator up for bursts.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "glibc's allocator is set up by a function, and no crate declares it safe")]
pub(crate) fn prepare() {
    // SAFETY: it takes two numbers and sets a parameter under the allocator's lock. Failing, it changes nothing.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAPPING) };
}

/// Gives memory that is not in use back to the system.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "glibc's allocator is told by a function, and no crate declares it safe")]
pub(crate) fn give_back() {
    // SAFETY: it takes no pointer, locks each arena that it looks at, and moves nothing that is in use (`malloc_trim(3)`).
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators have no such parameter.
#[cfg(not(target_env = "gnu"))]
pub(crate) const fn prepare() {}

/// Other allocators give memory back by themselves, or cannot be asked to.
#[cfg(not(target_env = "gnu"))]
pub(crate) const fn give_back() {}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_over_a_period_after_it_and_once_more() {
        let mut burst = Burst::new();
        burst.note(1000);
        assert!(timeout(10 * PERIOD, burst.over()).await.is_err(), "that is no burst");
        burst.note(LITTLE);
        let started = Instant::now();
        burst.over().await;
        assert_eq!(started.elapsed(), PERIOD);
        burst.over().await;
        assert_eq!(started.elapsed(), 3 * PERIOD);
        assert!(timeout(10 * PERIOD, burst.over()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_flow_is_not_interrupted_and_a_trickle_behind_a_burst_is_no_burst() {
        let mut burst = Burst::new();
        for _ in 0..100 {
            burst.note(LITTLE);
            assert!(timeout(PERIOD / 2, burst.over()).await.is_err(), "it goes on");
        }
        let started = Instant::now();
        while timeout(PERIOD / 10, burst.over()).await.is_err() {
            burst.note(1);
        }
        assert!(started.elapsed() <= 2 * PERIOD, "{:?}", started.elapsed());
    }
}
