//! The memory that small payloads are copied into.
//!
//! It is initialised once and then written over, so that a frame costs one look at the room that is left, and two copies.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::Head;

/// A slab that has grown beyond this is given back once it is drained.
const KEEP: usize = 1 << 20;

/// So much is initialised at least, if it is there.
const PAGE: usize = 4 << 10;

/// Bytes that wait in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Slab {
    /// All of it is initialised; what waits is a part of it.
    memory: BytesMut,
    begin: usize,
    end: usize,
    /// Whether it is the rest of a larger one, whose front is or was sealed.
    is_rest: bool,
}

impl Slab {
    /// Appends a frame, and says how long it is. Inlined, so that a head of fixed length and a missing tail cost nothing.
    #[inline(always)]
    pub(super) fn put(&mut self, head: &Head, payload: &[u8], tail: &[u8]) -> usize {
        let len = head.len() + payload.len() + tail.len();
        if self.memory.len() - self.end < len + Head::MAX {
            self.make_room(len + Head::MAX);
        }
        let room = &mut self.memory[self.end..];
        // A copy of known size is an instruction or two, one of variable size a call. What is too much of it is written over.
        *room.first_chunk_mut().expect("there is room for the longest head") = *head.padded();
        let behind = &mut room[head.len()..];
        behind[..payload.len()].copy_from_slice(payload);
        if !tail.is_empty() {
            behind[payload.len()..][..tail.len()].copy_from_slice(tail);
        }
        self.end += len;
        len
    }

    /// Sees to it that so many bytes more can be put behind what waits.
    #[cold]
    fn make_room(&mut self, len: usize) {
        if self.begin >= self.end / 2 {
            // What waits moves to the front. It is no more than what has been written since the last time, so each byte is
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
            // Not all at once: pages that are not needed are not touched.
            self.memory.resize(more.clamp(needed, self.memory.capacity()), 0);
        }
    }

    /// What waits.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.begin..self.end]
    }

    /// Takes away so many bytes from the front.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub(super) fn consume(&mut self, count: usize) {
        self.begin += count;
        assert!(self.begin <= self.end, "{} bytes more than there are", self.begin - self.end);
        if self.begin < self.end {
            return;
        }
        (self.begin, self.end) = (0, 0);
        if std::mem::take(&mut self.is_rest) {
            // Nobody holds what was in front any longer: all of the memory is there again, to be used and to be counted.
            self.memory.clear();
            let _ = self.memory.try_reclaim(self.memory.capacity() + 1);
        }
        if self.memory.capacity() > KEEP {
            self.memory = BytesMut::new();
        }
    }

    /// Takes out what waits, without a copy; what follows goes behind it in the same memory.
    pub(super) fn seal(&mut self) -> Bytes {
        let mut sealed = self.memory.split_to(self.end).freeze();
        sealed.advance(self.begin);
        (self.begin, self.end) = (0, 0);
        self.is_rest = true;
        sealed
    }

    /// Gives its memory back if it is more than `keep` bytes. Nothing waits.
    pub(super) fn release(&mut self, keep: usize) {
        debug_assert!(self.bytes().is_empty(), "what waits is not given away");
        if self.memory.capacity() > keep {
            self.memory = BytesMut::new();
        }
    }

    /// The memory it takes, in bytes.
    pub(super) fn memory_len(&self) -> usize {
        self.memory.capacity()
    }
}
