//! Random numbers of low quality, for the order of servers and the length of pauses.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

/// A generator (xorshift), with a seed from the standard library's hashing.
pub(super) struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(RandomState::new().build_hasher().finish() | 1)
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A duration below this one.
    pub(super) fn below(&mut self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(self.next() % nanos)
    }

    /// Puts the items in a random order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.next() % (last as u64 + 1)).unwrap_or_default();
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_comes_up() {
        let mut random = Random::default();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let mut items = [1, 2, 3, 4];
            random.shuffle(&mut items);
            seen.insert(items);
        }
        assert_eq!(seen.len(), 24);
        assert!((0..1000).all(|_| random.below(Duration::from_millis(3)) < Duration::from_millis(3)));
        assert_eq!(random.below(Duration::ZERO), Duration::ZERO);
    }
}
