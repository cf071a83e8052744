//! The memory that small payloads are copied into.
//!
//! It is initialised once and then overwritten, so that a frame costs one check of the remaining room and two copies.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::Head;

/// A slab that has grown beyond this is freed once it is drained.
const KEEP: usize = 1 << 20;

/// The least that is initialised at once, if the memory is there.
const PAGE: usize = 4 << 10;

/// Bytes that wait in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Slab {
    /// All of it is initialised; the waiting bytes are a part of it.
    memory: BytesMut,
    begin: usize,
    end: usize,
    /// Whether it is the rest of a larger slab, with a front that is or was sealed.
    is_rest: bool,
}

impl Slab {
    /// Appends a frame and returns its length. Inlined, so that a head of fixed length and a missing tail cost nothing.
    #[inline(always)]
    pub(super) fn put(&mut self, head: &Head, payload: &[u8], tail: &[u8]) -> usize {
        let len = head.len() + payload.len() + tail.len();
        if self.memory.len() - self.end < len + Head::MAX {
            self.make_room(len + Head::MAX);
        }
        let room = &mut self.memory[self.end..];
        // A copy of known size is an instruction or two, and one of variable size a call. Excess bytes are overwritten.
        *room.first_chunk_mut().expect("there is room for the longest head") = *head.padded();
        let behind = &mut room[head.len()..];
        behind[..payload.len()].copy_from_slice(payload);
        if !tail.is_empty() {
            behind[payload.len()..][..tail.len()].copy_from_slice(tail);
        }
        self.end += len;
        len
    }

    /// Ensures that this many bytes fit behind what waits.
    #[cold]
    fn make_room(&mut self, len: usize) {
        if self.begin >= self.end / 2 {
            // Move what waits to the front. It is no more than what was written since the last move, so each byte is
            // moved at most once for each byte written.
            self.memory.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
        }
        let needed = self.end + len;
        if self.memory.len() < needed {
            let more = (self.memory.len() * 2).max(PAGE);
            self.memory.truncate(self.end);
            self.memory.reserve(len);
            // Not all at once, so that pages that are not needed are not touched.
            self.memory.resize(more.clamp(needed, self.memory.capacity()), 0);
        }
    }

    /// What waits.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.begin..self.end]
    }

    /// Removes this many bytes from the front.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub(super) fn consume(&mut self, count: usize) {
        self.begin += count;
        assert!(self.begin <= self.end, "{} bytes more than there are", self.begin - self.end);
        if self.begin < self.end {
            return;
        }
        (self.begin, self.end) = (0, 0);
        if std::mem::take(&mut self.is_rest) {
            // The front is not held any longer, so all of the memory can be used and counted again.
            self.memory.clear();
            let _ = self.memory.try_reclaim(self.memory.capacity() + 1);
        }
        if self.memory.capacity() > KEEP {
            self.memory = BytesMut::new();
        }
    }

    /// Takes out what waits, without a copy. Later frames go behind it in the same memory.
    pub(super) fn seal(&mut self) -> Bytes {
        let mut sealed = self.memory.split_to(self.end).freeze();
        sealed.advance(self.begin);
        (self.begin, self.end) = (0, 0);
        self.is_rest = true;
        sealed
    }

    /// Frees its memory if it is more than `keep` bytes. Nothing may wait in it.
    pub(super) fn release(&mut self, keep: usize) {
        debug_assert!(self.bytes().is_empty(), "what waits is not given away");
        if self.memory.capacity() > keep {
            self.memory = BytesMut::new();
        }
    }

    /// Its memory, in bytes.
    pub(super) fn memory_len(&self) -> usize {
        self.memory.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(slab: &mut Slab, len: usize) {
        slab.put(&Head::EMPTY, &vec![7; len], b"");
    }

    #[test]
    fn a_slab_doubles_and_a_large_one_is_freed_when_it_is_empty() {
        let mut slab = Slab { memory: BytesMut::with_capacity(16 * PAGE), ..Slab::default() };
        put(&mut slab, 1);
        assert_eq!(slab.memory.len(), PAGE);
        put(&mut slab, PAGE);
        assert_eq!(slab.memory.len(), 2 * PAGE);
        assert_eq!(slab.bytes().len(), PAGE + 1);
        slab.consume(PAGE + 1);
        assert_eq!(slab.memory.len(), 2 * PAGE, "it is kept for the next burst");
        put(&mut slab, KEEP + 1);
        slab.consume(KEEP);
        assert!(slab.memory_len() > KEEP);
        slab.consume(1);
        assert_eq!(slab.memory_len(), 0);
    }

    #[test]
    fn what_waits_moves_to_the_front_instead_of_growing() {
        let mut slab = Slab::default();
        for _ in 0..1000 {
            put(&mut slab, PAGE / 4);
            slab.consume(PAGE / 4 - 1);
            slab.consume(slab.bytes().len().saturating_sub(PAGE / 8));
        }
        assert!(slab.memory_len() <= 2 * PAGE, "{} bytes", slab.memory_len());
    }
}
