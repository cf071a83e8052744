//! Where the frames lie in their block.

/// Where one frame's payload lies in its block.
///
/// 32 bits suffice: a block holds at most one frame of [`Limits::LARGEST_MAX_FRAME`](crate::Limits::LARGEST_MAX_FRAME)
/// bytes, or one read.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// The payload, lent by its block.
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
    /// An index for about so many frames; takes no memory until the first.
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

    /// The memory it takes, in bytes.
    #[inline]
    pub(crate) const fn memory_len(&self) -> usize {
        self.frames.len() * size_of::<Span>()
    }

    /// The frames in order, and the bytes of all their payloads. Takes no more memory than they need for long.
    pub(super) fn into_frames(mut self) -> (Vec<Span>, usize) {
        if self.frames.capacity() / 2 > self.frames.len() {
            // More were expected; a batch may be held for long.
            self.frames.shrink_to_fit();
        }
        (self.frames, self.byte_len)
    }
}
