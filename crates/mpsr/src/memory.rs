//! Memory after a burst.
//!
//! Idle connections release their buffers, but the allocator keeps the memory: see `glibc.rs`. So the program detects
//! the end of a burst and asks the allocator to release it.

#[cfg(target_env = "gnu")]
mod glibc;
pub(crate) mod limits;

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

#[cfg(target_env = "gnu")]
pub(crate) use self::glibc::give_back;

/// Sets the allocator up. Other allocators need no parameter.
pub(crate) fn prepare() {
    #[cfg(target_env = "gnu")]
    glibc::prepare(limits::has_little_room());
}

/// Other allocators release memory by themselves, or cannot be asked to.
#[cfg(not(target_env = "gnu"))]
pub(crate) const fn give_back() {}

/// A burst is over when fewer bytes than this move in a period.
const LITTLE: u64 = 1 << 20;
/// Long enough for connections to have released their buffers.
const PERIOD: Duration = Duration::from_secs(1);
/// On a busy machine, some connections become idle later. So we release memory again this long after the time before.
/// The last release is within the five seconds in which the memory is to be released.
const AGAIN: [Duration; 2] = [Duration::from_millis(1500), Duration::from_millis(2000)];

/// The minimum cost of an event besides its bytes: the state of a connection, a buffer.
const EVENT: u64 = 4 << 10;

/// Detects the end of a burst.
///
/// A busy program pays one addition for each event; an idle one has no timer.
#[derive(Debug)]
pub(crate) struct Burst {
    /// Bytes moved in the current period.
    moved: u64,
    /// When the current period ends, if there is a burst.
    until: Option<Instant>,
    /// How often memory was released after this burst.
    times: usize,
}

impl Burst {
    pub(crate) const fn new() -> Self {
        Self { moved: 0, until: None, times: AGAIN.len() + 1 }
    }

    /// Counts an event with this many bytes.
    pub(crate) fn note(&mut self, bytes: u64) {
        self.moved += EVENT + bytes;
        if self.moved >= LITTLE && self.times > 0 {
            self.until = Some(Instant::now() + PERIOD);
            self.moved = 0;
            self.times = 0;
        }
    }

    /// Waits until a burst is over; if there is none, forever. Returns three times for each burst. Cancel safe.
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
            self.until = AGAIN.get(self.times).map(|again| Instant::now() + *again);
            self.times += 1;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_over_a_period_after_it_and_twice_more_within_five_seconds() {
        let mut burst = Burst::new();
        burst.note(1000);
        assert!(timeout(10 * PERIOD, burst.over()).await.is_err(), "that is no burst");
        burst.note(LITTLE);
        let started = Instant::now();
        for after in [PERIOD, Duration::from_millis(2500), Duration::from_millis(4500)] {
            burst.over().await;
            assert_eq!(started.elapsed(), after);
        }
        assert!(timeout(10 * PERIOD, burst.over()).await.is_err());
        burst.note(LITTLE);
        let started = Instant::now();
        burst.over().await;
        assert_eq!(started.elapsed(), PERIOD, "the next burst");
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
