//! How long to wait before trying again: pauses that double, from a first one to a last one.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Pauses that double up to a maximum.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
}

impl Backoff {
    /// Pauses from `first` to `last`, each twice as long as the one before.
    pub fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, next: first }
    }

    /// The pause to make now. The next one is twice as long.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.last);
        pause
    }

    /// A random pause between half of [`pause`](Self::pause) and all of it, so that many clients that wait for the same
    /// server do not return at once. `chance` is any number; its low 16 bits decide.
    pub fn jittered(&mut self, chance: u64) -> Duration {
        let pause = self.pause();
        let share = (chance & 0xffff) as u32;
        pause / 2 + pause / 2 * share / 0xffff
    }

    /// Whether the pauses have reached the maximum.
    pub fn is_exhausted(&self) -> bool {
        self.next == self.last
    }

    /// Starts again with the first pause.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// A number that differs between calls and processes: the standard library's hash keys are random.
pub fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_double_up_to_the_ceiling_and_start_again() {
        let mut backoff = Backoff::new(10 * MS, 1000 * MS);
        let pauses: Vec<_> = (0..9).map(|_| backoff.pause().as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert!(backoff.is_exhausted());
        backoff.reset();
        assert_eq!(backoff.pause(), 10 * MS);
        assert!(!backoff.is_exhausted());
    }

    #[test]
    fn jitter_stays_between_half_and_whole() {
        for chance in [0, 1, 0x7fff, 0xffff, u64::MAX] {
            let pause = Backoff::new(100 * MS, 100 * MS).jittered(chance);
            assert!((50 * MS..=100 * MS).contains(&pause), "{pause:?}");
        }
        assert_ne!(chance(), chance());
    }
}
