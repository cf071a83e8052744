//! The messages: made by producers, read to the last byte by receivers.

use anyhow::{Result, ensure};
use bytes::Bytes;

/// Messages carry their number modulo this in their first word, so that a few ready-made payloads are enough for
/// contenders that send shared ones.
pub(crate) const STAMPS: u64 = 16;

/// The word that fills the rest.
const FILL: u64 = 0x0123_4567_89ab_cdef;

/// One payload after the other, in one buffer that is written over.
#[derive(Debug)]
pub(crate) struct Stamped {
    buffer: Vec<u8>,
    next: u64,
}

impl Stamped {
    pub(crate) fn new(size: usize) -> Self {
        assert!(size >= 8 && size.is_multiple_of(8), "payloads are whole words");
        Self { buffer: FILL.to_le_bytes().repeat(size / 8), next: 0 }
    }

    #[inline]
    pub(crate) fn next(&mut self) -> &[u8] {
        self.buffer[..8].copy_from_slice(&(self.next % STAMPS).to_le_bytes());
        self.next += 1;
        &self.buffer
    }

    /// The payloads with each stamp, to be sent in turn.
    pub(crate) fn shared(size: usize) -> Vec<Bytes> {
        let mut stamped = Self::new(size);
        (0..STAMPS).map(|_| Bytes::copy_from_slice(stamped.next())).collect()
    }
}

/// Reads every byte of every payload and knows what they must add up to.
#[derive(Debug)]
pub(crate) struct Check {
    size: usize,
    expected: u64,
    producers: u64,
    count: u64,
    total: u64,
    wrong: u64,
}

impl Check {
    /// For `messages` of `size` bytes from each of `producers`. The order is checked if there is one producer.
    pub(crate) fn new(size: usize, messages: u64, producers: u64) -> Self {
        Self { size, expected: messages * producers, producers, count: 0, total: 0, wrong: 0 }
    }

    /// The sum of a payload without its stamp.
    fn base(&self) -> u64 {
        FILL.wrapping_mul((self.size / 8 - 1) as u64)
    }

    #[inline]
    pub(crate) fn take(&mut self, payload: &[u8]) {
        let sum = sum(payload);
        let in_place = sum == self.base().wrapping_add(self.count % STAMPS);
        self.wrong += u64::from(payload.len() != self.size || (self.producers == 1 && !in_place));
        self.total = self.total.wrapping_add(sum);
        self.count += 1;
    }

    /// Whether everything has arrived.
    #[inline]
    pub(crate) const fn is_complete(&self) -> bool {
        self.count >= self.expected
    }

    /// Whether one message is missing.
    pub(crate) const fn is_last(&self) -> bool {
        self.count + 1 == self.expected
    }

    /// The verdict.
    pub(crate) fn verdict(&self) -> Result<()> {
        let each = self.expected / self.producers;
        let rounds = each / STAMPS;
        let rest = each % STAMPS;
        let stamps = rounds * (STAMPS * (STAMPS - 1) / 2) + rest * rest.saturating_sub(1) / 2;
        let total = self.base().wrapping_mul(self.expected).wrapping_add(stamps.wrapping_mul(self.producers));
        ensure!(self.count == self.expected, "{} messages arrived, {} were sent", self.count, self.expected);
        ensure!(self.wrong == 0, "{} messages arrived out of order or changed", self.wrong);
        ensure!(self.total == total, "the payloads add up to {:#x} instead of {total:#x}", self.total);
        Ok(())
    }
}

/// All words of the payload, added up.
#[inline]
fn sum(payload: &[u8]) -> u64 {
    let (words, rest) = payload.as_chunks::<8>();
    let words = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(words, |sum, &byte| sum.wrapping_add(u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(messages: u64, change: impl Fn(u64, &mut Vec<u8>)) -> Result<()> {
        let (mut stamped, mut check) = (Stamped::new(64), Check::new(64, messages, 1));
        for number in 0..messages {
            let mut payload = stamped.next().to_vec();
            change(number, &mut payload);
            check.take(&payload);
        }
        check.verdict()
    }

    #[test]
    fn what_was_sent_is_what_is_expected() {
        for messages in [0, 1, 15, 16, 17, 1000] {
            check(messages, |_, _| {}).unwrap();
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        for at in [0, 7, 8, 63] {
            check(100, |number, payload| payload[at] ^= u8::from(number == 40)).unwrap_err();
        }
    }

    #[test]
    fn many_producers_are_checked_by_their_sum() {
        let mut check = Check::new(64, 20, 3);
        for _ in 0..3 {
            let mut stamped = Stamped::new(64);
            (0..20).for_each(|_| check.take(stamped.next()));
        }
        check.verdict().unwrap();
        check.take(Stamped::new(64).next());
        check.verdict().unwrap_err();
    }
}
