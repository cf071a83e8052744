//! The receiving buffer of one stream. It grows with what arrives, and reuses its memory.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::mem;

use bytes::{Buf as _, BufMut, Bytes, BytesMut};

use super::spares::Spares;
use crate::Limits;

/// For a frame of at least this size (half of a usual read), the read stops at the end of the frame. The beginning of
/// the next frame then need not be copied to another buffer.
const LARGE: usize = 32 << 10;

/// A buffer grows when only this much of it is left. Growing late keeps it at about twice what has arrived.
const LEAST: usize = 4 << 10;

/// An idle connection keeps a buffer of at most this many bytes.
const KEEP: usize = 1 << 10;

/// A block that is at least this fraction of the buffer is split off; a smaller one is copied. A batch therefore keeps
/// alive at most this many times the bytes that it counts.
const SHARE_OF_BUFFER: usize = 4;

/// What has arrived and was not taken, with room for more behind it.
pub(super) struct Buffer {
    unread: BytesMut,
    /// The size of the allocation; `unread` is its free end.
    block: usize,
    /// Whether nothing was taken from that allocation yet. Then `unread` is all of it and can grow in place.
    fresh: bool,
    /// Blocks from earlier reads, to be reused once no frame in them is held.
    spares: Spares,
    /// Room for the next read, between `Limits::min_read` and `Limits::max_read`.
    read_size: usize,
    /// The room that was offered last, until its use is checked.
    offer: Option<Offer>,
    /// The wire length of the last frame, if it was large: the next one may be of the same size.
    large: usize,
}

#[derive(Clone, Copy)]
struct Offer {
    room: usize,
    len_before: usize,
}

impl Buffer {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            unread: BytesMut::new(),
            block: 0,
            fresh: true,
            spares: Spares::default(),
            read_size: limits.min_read(),
            offer: None,
            large: 0,
        }
    }

    /// What has arrived and was not taken.
    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        &self.unread
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.unread.len()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.unread.is_empty()
    }

    /// Its memory in bytes, including that of frames which share a block with it.
    pub(super) fn memory_len(&self) -> usize {
        self.block.saturating_add(self.spares.memory_len())
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.unread.capacity()
    }

    // Filling.

    /// Room for the next read, never empty. `at_least` is the smallest length of the frame at the front.
    pub(super) fn room(&mut self, at_least: usize) -> impl BufMut + '_ {
        let room = self.make_room(at_least);
        (&mut self.unread).limit(room)
    }

    /// The same as initialised bytes; `read` returns how many of them it wrote.
    pub(super) fn read_with<E>(
        &mut self,
        at_least: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        /// Takes back the room that was not filled, even if `read` panics.
        struct Lent<'a> {
            unread: &'a mut BytesMut,
            arrived: usize,
        }

        impl Drop for Lent<'_> {
            fn drop(&mut self) {
                self.unread.truncate(self.arrived);
            }
        }

        let room = self.make_room(at_least);
        let arrived = self.unread.len();
        self.unread.resize(arrived.saturating_add(room), 0);
        let mut lent = Lent { unread: &mut self.unread, arrived };
        let filled = read(lent.unread.get_mut(arrived..).unwrap_or_default())?;
        assert!(filled <= room, "a reader filled {filled} bytes of {room}");
        lent.arrived = arrived.saturating_add(filled);
        Ok(filled)
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.unread.capacity().saturating_sub(self.unread.len()) < bytes.len() {
            self.grow(bytes.len());
        }
        self.unread.extend_from_slice(bytes);
    }

    /// Ensures that there is room behind `unread`, and returns how much of it to offer.
    fn make_room(&mut self, at_least: usize) -> usize {
        let len = self.unread.len();
        let free = self.unread.capacity().saturating_sub(len);
        // If a large frame has begun, or the last one was large: read up to its end and no further.
        let frame = if len == 0 { self.large } else { at_least };
        let most = match frame.checked_sub(len) {
            // A single missing byte means nothing: a framing that declares no length always wants one more.
            Some(rest @ 2..) if frame >= LARGE => rest,
            _ => usize::MAX,
        };
        // As much may arrive again as has arrived before; a declared length does not count. An incomplete frame is
        // moved a bounded number of times, because its buffer doubles.
        let doubled = if self.fresh { len } else { 0 };
        let wanted = self.read_size.max(doubled).max(self.large).min(most);
        // Use up a block before taking a new one, so that frames of a few bytes do not hold one block each. The last
        // part of a block is still large enough for a read.
        let enough = match len {
            0 if self.large > 0 => wanted,
            1.. if self.fresh => (self.read_size / 2).min(LEAST).min(most),
            _ => (self.read_size / 2).min(most),
        };
        if free < enough {
            self.grow(wanted);
        }
        let room = self.unread.capacity().saturating_sub(len).min(most).min(self.read_size.max(len));
        self.offer = Some(Offer { room, len_before: len });
        room
    }

    /// Makes room for `more` bytes behind `unread`: in place if no frame in the block is held, otherwise in a new
    /// block.
    fn grow(&mut self, more: usize) {
        if self.fresh && !self.unread.is_empty() {
            self.unread.reserve(more);
            self.block = self.unread.capacity();
        } else if !self.unread.try_reclaim(more) {
            self.renew(self.unread.len().saturating_add(more));
        }
    }

    /// Moves the unread bytes to another block.
    fn renew(&mut self, capacity: usize) {
        let (mut memory, block) = match self.spares.take(capacity) {
            Some(spare) => {
                self.fresh = false;
                spare
            }
            None => {
                self.fresh = true;
                let memory = BytesMut::with_capacity(capacity);
                let block = memory.capacity();
                (memory, block)
            }
        };
        memory.extend_from_slice(&self.unread);
        let before = mem::replace(&mut self.unread, memory);
        self.spares.put(before, mem::replace(&mut self.block, block));
    }

    /// Adapts to how much of its room the last read used: offers more if it was full, less if it was nearly empty.
    pub(super) fn adapt(&mut self, limits: &Limits) {
        let Some(Offer { room, len_before }) = self.offer.take() else { return };
        let filled = self.unread.len().saturating_sub(len_before);
        if filled >= room {
            self.read_size = self.read_size.saturating_mul(2).min(limits.max_read());
        } else if filled < self.read_size / 16 {
            self.read_size = (self.read_size / 2).max(limits.min_read());
            self.spares.shed(self.read_size);
        }
    }

    // Taking.

    /// The first bytes as a block, the last frame of which has `last` bytes. A small block gets its own memory; otherwise
    /// each of its frames would keep the whole buffer alive.
    pub(super) fn take_front(&mut self, len: usize, last: usize) -> Bytes {
        self.large = if last >= LARGE { last } else { 0 };
        self.fresh = false;
        if len >= self.block / SHARE_OF_BUFFER {
            return self.unread.split_to(len).freeze();
        }
        let block = Bytes::copy_from_slice(self.unread.get(..len).unwrap_or_default());
        self.unread.advance(len);
        block
    }

    /// Drops the first bytes.
    pub(super) fn drop_front(&mut self, len: usize) {
        let len = len.min(self.unread.len());
        self.unread.advance(len);
        self.fresh &= len == 0;
    }

    /// Drops everything that has arrived.
    pub(super) fn clear(&mut self) {
        self.unread.clear();
    }

    /// Releases memory that holds nothing. The bytes that have arrived stay.
    pub(super) fn release(&mut self) {
        self.offer = None;
        if self.block > KEEP && self.unread.len() <= KEEP {
            self.renew(self.unread.len());
        }
        self.spares = Spares::default();
    }
}
