//! Where the frames are in their block.

/// Where one frame's payload is in its block.
///
/// 32 bits are enough: a block holds at most one frame of
/// [`Limits::LARGEST_MAX_FRAME`](crate::Limits::LARGEST_MAX_FRAME) bytes, or one read.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// The payload in its block.
    #[inline]
    pub(super) fn of(self, block: &[u8]) -> &[u8] {
        &block[self.start as usize..self.end as usize]
    }
}

/// The frames found so far in a block that is still being scanned.
pub(crate) struct Index {
    frames: Vec<Span>,
    byte_len: usize,
    /// How many frames to make room for with the first one.
    expected: usize,
}

impl Index {
    /// An index for approximately this many frames; it allocates nothing before the first.
    pub(crate) const fn expecting(frames: usize) -> Self {
        Self { frames: Vec::new(), byte_len: 0, expected: frames }
    }

    #[inline]
    pub(crate) fn push(&mut self, start: usize, end: usize) {
        debug_assert!(start <= end, "a frame ends behind its beginning");
        if self.frames.len() == self.frames.capacity() {
            self.make_room();
        }
        #[expect(clippy::cast_possible_truncation, reason = "a block is shorter than 4 GiB, see `Batch::of`")]
        self.frames.push(Span { start: start as u32, end: end as u32 });
        self.byte_len += end - start;
    }

    #[cold]
    fn make_room(&mut self) {
        let more = if self.frames.is_empty() { self.expected.max(1) } else { self.frames.len() };
        self.frames.reserve_exact(more);
    }

    pub(crate) const fn len(&self) -> usize {
        self.frames.len()
    }

    /// Its memory, in bytes.
    #[inline]
    pub(crate) const fn memory_len(&self) -> usize {
        self.frames.len() * size_of::<Span>()
    }

    /// The frames in order, and the number of bytes of all their payloads. Frees memory that they do not need.
    pub(super) fn into_frames(mut self) -> (Vec<Span>, usize) {
        if self.frames.capacity() / 2 > self.frames.len() {
            // There may be fewer frames than expected, and a batch may be held for long.
            self.frames.shrink_to_fit();
        }
        (self.frames, self.byte_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_frames_that_did_not_come_is_released() {
        for (expected, pushed, capacity) in [(1000, 3, 3), (8, 3, 3), (7, 3, 7), (6, 3, 6), (4, 4, 4)] {
            let mut index = Index::expecting(expected);
            (0..pushed).for_each(|at| index.push(at, at + 1));
            let (frames, byte_len) = index.into_frames();
            assert_eq!((frames.capacity(), frames.len(), byte_len), (capacity, pushed, pushed), "expected {expected}");
        }
    }
}
