//! A hash for keys that this side chooses.
//!
//! Lanes and tags are looked up twice for each call. A peer can name any tag, but tables contain only the tags of our
//! own requests. No attack is possible, so a multiplication is enough.

use std::hash::{BuildHasherDefault, Hasher};

pub(super) type Map<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Mix>>;

#[derive(Default)]
pub(super) struct Mix(u64);

/// An odd number with well spread bits: 2⁶⁴ divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Mix {
    const fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(SPREAD);
    }
}

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        // Tables take the position from the low bits, and the check byte from the high ones.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.add(u64::from_le_bytes(word));
        }
        self.add(bytes.len() as u64);
    }

    fn write_u8(&mut self, number: u8) {
        self.add(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.add(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.add(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use super::*;

    #[test]
    fn neighbours_do_not_share_a_place() {
        for stride in [1_u64, 2, 256, 1 << 16, 1 << 32] {
            let places: std::collections::HashSet<_> =
                (0..1000).map(|n| BuildHasherDefault::<Mix>::default().hash_one(n * stride) & 0xffff).collect();
            assert!(places.len() > 950, "{} places for 1000 numbers {stride} apart", places.len());
        }
        let text: std::collections::HashSet<_> =
            (0..1000).map(|n| BuildHasherDefault::<Mix>::default().hash_one(format!("request {n}")) & 0xffff).collect();
        assert!(text.len() > 950, "{}", text.len());
    }
    #[test]
    fn keys_of_every_width_are_told_apart() {
        let hash = BuildHasherDefault::<Mix>::default();
        assert_ne!(hash.hash_one(1_u8), hash.hash_one(2_u8));
        assert_ne!(hash.hash_one(1_u16), hash.hash_one(2_u16));
        assert_ne!(hash.hash_one(1_u32), hash.hash_one(2_u32));
        assert_ne!(hash.hash_one(1_u64), hash.hash_one(2_u64));
        assert_ne!(hash.hash_one(1_usize), hash.hash_one(2_usize));
        assert_ne!(hash.hash_one("lane 1"), hash.hash_one("lane 2"));
    }
}
