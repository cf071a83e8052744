//! A bounded buffer in one block of memory.

use std::os::fd::BorrowedFd;

use rustix::{
    buffer::spare_capacity,
    net::{RecvFlags, recv},
};

use super::Capacity;

/// After this many rounds in a row in which a buffer needed no more than its initial size, it returns to that size.
const QUIET_ROUNDS: u32 = 16;

/// ```text
///   0        start             bytes.len()      bytes.capacity()          capacity.max()
///   │ consumed │ unread           │ room            │ room after growing       │
/// ```
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    capacity: Capacity,
    /// The maximum of unread bytes since the buffer was last empty.
    peak: usize,
    /// How often in a row it was emptied with a low peak.
    quiet_rounds: u32,
}

/// How much work to do for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// As much as necessary.
    Needed,
    /// Only as much as it is worth: a peer must not be able to make us move everything for a few bytes, again and
    /// again.
    Welcome,
}

impl Buffer {
    pub(super) fn new(capacity: Capacity) -> Self {
        let bytes = if capacity.is_fixed() { Vec::with_capacity(capacity.max()) } else { Vec::new() };
        Self { bytes, start: 0, capacity, peak: 0, quiet_rounds: 0 }
    }

    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(super) const fn capacity(&self) -> Capacity {
        self.capacity
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether [`receive`](Self::receive) would find or make room.
    pub(super) fn has_room(&self, room: Room) -> bool {
        self.spare() > 0 || self.is_worth_compacting(room) || self.bytes.capacity() < self.capacity.max()
    }

    /// Reads once from the socket, without waiting. The caller has checked that there is room, so no bytes mean the end
    /// of the stream.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> rustix::io::Result<usize> {
        if self.spare() == 0 {
            self.compact();
        }
        if self.spare() == 0 {
            self.grow(1);
        }
        debug_assert!(self.spare() > 0, "a read into no room looks like the end of the stream");
        let (received, _) = recv(socket, spare_capacity(&mut self.bytes), RecvFlags::DONTWAIT)?;
        self.peak = self.peak.max(self.unread().len());
        Ok(received)
    }

    /// Adds all the pieces, or none if they do not fit within the limit.
    pub(super) fn append(&mut self, pieces: &[&[u8]]) -> bool {
        let len: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.unread().len() + len > self.capacity.max() {
            return false;
        }
        if self.spare() < len {
            self.compact();
        }
        if self.spare() < len {
            self.grow(len);
        }
        for piece in pieces {
            self.bytes.extend_from_slice(piece);
        }
        self.peak = self.peak.max(self.unread().len());
        true
    }

    /// Removes `count` bytes from the front.
    pub(super) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.unread().len(), "no more is consumed than there is");
        self.start += count;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
            self.relax();
        }
    }

    fn spare(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    const fn is_worth_compacting(&self, room: Room) -> bool {
        match room {
            Room::Needed => self.start > 0,
            Room::Welcome => self.start > 0 && self.start >= self.bytes.len() / 4,
        }
    }

    fn compact(&mut self) {
        self.bytes.drain(..self.start);
        self.start = 0;
    }

    /// At least doubles the capacity, to hold `len` bytes more, up to the limit.
    fn grow(&mut self, len: usize) {
        let wanted = self.bytes.len() + len;
        let doubled = (self.bytes.capacity() * 2).max(self.capacity.initial()).max(wanted);
        let target = doubled.min(self.capacity.max());
        self.bytes.reserve_exact(target.saturating_sub(self.bytes.len()));
    }

    /// Called when the buffer is empty: releases memory that was not needed for a while.
    fn relax(&mut self) {
        let was_low = self.peak <= self.capacity.initial();
        self.peak = 0;
        self.quiet_rounds = if was_low { self.quiet_rounds + 1 } else { 0 };
        if self.quiet_rounds >= QUIET_ROUNDS {
            self.quiet_rounds = 0;
            self.bytes.shrink_to(self.capacity.initial());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        os::{fd::AsFd as _, unix::net::UnixStream},
    };

    use super::*;

    #[test]
    fn a_fixed_buffer_is_allocated_once() {
        let mut buffer = Buffer::new(Capacity::fixed(100));
        let memory = buffer.bytes.as_ptr();
        for _ in 0..50 {
            assert!(buffer.append(&[&[1; 60], &[2; 40]]));
            assert!(!buffer.append(&[b"x"]), "one byte more than fits");
            buffer.consume(30);
            assert!(buffer.append(&[&[3; 30]]), "what is consumed is room again");
            buffer.consume(100);
        }
        assert_eq!((buffer.bytes.as_ptr(), buffer.bytes.capacity()), (memory, 100));
    }

    #[test]
    fn a_growable_buffer_doubles_up_to_its_bound_and_comes_back_when_it_is_quiet() {
        let mut buffer = Buffer::new(Capacity::growable(64, 1000));
        assert_eq!(buffer.bytes.capacity(), 0, "nothing is allocated for a connection that says nothing");
        let mut sizes = Vec::new();
        while buffer.append(&[&[0; 40]]) {
            sizes.push(buffer.bytes.capacity());
        }
        sizes.dedup();
        assert_eq!(sizes, [64, 128, 256, 512, 1000]);
        buffer.consume(1000);
        for round in 0..QUIET_ROUNDS {
            assert_eq!(buffer.bytes.capacity(), 1000, "round {round}");
            assert!(buffer.append(&[b"small"]));
            buffer.consume(5);
        }
        assert_eq!(buffer.bytes.capacity(), 64);
    }

    #[test]
    fn consumed_bytes_in_front_are_room_although_the_end_is_reached() {
        let (mut there, here) = UnixStream::pair().unwrap();
        let mut buffer = Buffer::new(Capacity::fixed(64));
        there.write_all(&[7; 64]).unwrap();
        assert_eq!(buffer.receive(here.as_fd()), Ok(64));
        assert!(!buffer.has_room(Room::Needed));
        buffer.consume(1);
        assert!(buffer.has_room(Room::Needed), "one byte is room when it is needed");
        assert!(!buffer.has_room(Room::Welcome), "and not worth moving 63 bytes when it is not");
        buffer.consume(20);
        assert!(buffer.has_room(Room::Welcome));
        there.write_all(&[8; 21]).unwrap();
        assert_eq!(buffer.receive(here.as_fd()), Ok(21));
        assert_eq!(buffer.unread(), [&[7; 43][..], &[8; 21]].concat());
    }

    #[test]
    fn sizes_that_contradict_each_other_are_made_to_agree() {
        for (initial, max, agreed) in [(500, 100, (100, 100)), (0, 0, (64, 64)), (1, usize::MAX, (64, 1 << 30))] {
            let capacity = Capacity::growable(initial, max);
            assert_eq!((capacity.initial(), capacity.max()), agreed);
        }
    }
}
