//! Requests on their way out: encoded once, framing included, into the memory that is written from.
//!
//! ```text
//!   draft ──admit──► queued ──take──► taken ──handle_written──► sent
//!                      │                │  (no byte written yet)
//!                      └────withdraw────┴──► gone
//! ```
//!
//! There are two queues, urgent and normal. Frames leave a queue as a block of complete frames, without a copy unless
//! one of them was withdrawn.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

/// Capacity that an empty queue keeps for the next burst, in bytes.
const KEPT: usize = 256 << 10;

/// Frames that an empty queue keeps room for.
const KEPT_FRAMES: usize = 1 << 10;

/// Room that an empty queue takes at first, in bytes.
const FIRST: usize = 4 << 10;

/// A frame, by the index of its call; `None` when it was withdrawn.
#[derive(Debug, Clone, Copy)]
struct Frame {
    len: usize,
    call: Option<u32>,
}

/// Frames that were not taken yet, next to each other in one slab.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    slab: BytesMut,
    /// Where the last frame ends in the slab; bytes behind it were not admitted.
    end: usize,
    /// The largest room the slab has had since it was last released.
    grown: usize,
    frames: VecDeque<Frame>,
    /// The number of the first frame.
    first: u64,
    /// Frames that were not withdrawn.
    live: usize,
}

impl Queue {
    /// The slab to append a frame to. The frame counts only after [`admit`](Self::admit); without that, the next use of
    /// the slab overwrites it.
    pub(crate) fn draft(&mut self) -> &mut BytesMut {
        self.slab.truncate(self.end);
        if self.slab.capacity() == self.end {
            self.slab.reserve(FIRST);
        }
        &mut self.slab
    }

    /// Bytes appended and not admitted.
    pub(crate) fn drafted(&self) -> usize {
        self.slab.len().checked_sub(self.end).expect("Call::encode only appends to the frame it is given")
    }

    /// Admits what was appended as one frame of this call, and returns its number.
    fn admit(&mut self, call: u32) -> (u64, usize) {
        let len = self.drafted();
        self.end = self.slab.len();
        self.grown = self.grown.max(self.slab.capacity());
        self.frames.push_back(Frame { len, call: Some(call) });
        self.live += 1;
        (self.first + self.frames.len() as u64 - 1, len)
    }

    /// Discards what was appended and not admitted, and releases the memory of a large draft.
    pub(crate) fn discard(&mut self) {
        self.slab.truncate(self.end);
        if self.slab.capacity() > self.end.saturating_mul(2).max(KEPT) {
            self.slab = BytesMut::from(&self.slab[..]);
        }
    }

    /// Takes the bytes of the first `count` frames, which are `len` bytes with `gone` of them withdrawn.
    fn split(&mut self, count: usize, len: usize, gone: bool, taken: &mut VecDeque<Frame>) -> Bytes {
        self.slab.truncate(self.end);
        let block = self.slab.split_to(len);
        self.end -= len;
        self.first += count as u64;
        let block = if gone { without_withdrawn(&block, self.frames.iter().take(count)) } else { block };
        let before = taken.len();
        taken.extend(self.frames.drain(..count).filter(|frame| frame.call.is_some()));
        self.live -= taken.len() - before;
        if self.frames.is_empty() {
            self.frames.shrink_to(KEPT_FRAMES);
            if self.grown > KEPT {
                self.slab = BytesMut::new();
                self.grown = 0;
            }
        }
        block.freeze()
    }

    /// Puts frames that were taken from here in front of the others, and returns the number of the first.
    fn put_back(&mut self, bytes: &[u8], frames: &[Frame]) -> u64 {
        let mut slab = BytesMut::with_capacity(bytes.len() + self.end);
        slab.extend_from_slice(bytes);
        slab.extend_from_slice(self.slab.get(..self.end).unwrap_or_default());
        self.slab = slab;
        self.end = self.slab.len();
        self.grown = self.grown.max(self.slab.capacity());
        // No more are put back than were taken, so the numbers do not run out.
        self.first -= frames.len() as u64;
        frames.iter().rev().for_each(|frame| self.frames.push_front(*frame));
        self.live += frames.len();
        self.first
    }

    fn mark_withdrawn(&mut self, number: u64) -> usize {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let frame = index.and_then(|index| self.frames.get_mut(index)).expect("a queued call has a frame in its queue");
        frame.call = None;
        self.live -= 1;
        frame.len
    }

    /// Forgets every frame. Numbers begin again: no call is left that has one.
    fn clear(&mut self) {
        *self = Self::default();
    }
}

fn without_withdrawn<'a>(block: &[u8], frames: impl Iterator<Item = &'a Frame>) -> BytesMut {
    let mut kept = BytesMut::with_capacity(block.len());
    let mut rest = block;
    for frame in frames {
        let (bytes, behind) = rest.split_at(frame.len);
        if frame.call.is_some() {
            kept.extend_from_slice(bytes);
        }
        rest = behind;
    }
    kept
}

/// Frames that were given to the connection, which has not written their last byte yet.
#[derive(Debug, Default)]
struct Taken {
    frames: VecDeque<Frame>,
    /// The number of the first frame.
    first: u64,
    /// Their bytes, from the first byte of the first frame on. No frame spans two blocks.
    blocks: VecDeque<Bytes>,
    /// Bytes in all frames, written ones included.
    len: usize,
    /// Bytes that were written: of the first frame, once [`pop_written`](Self::pop_written) has taken those before it.
    written: usize,
    /// A frame was withdrawn from here, so the connection holds bytes that it must not write.
    recalled: bool,
}

impl Taken {
    /// The oldest frame of which every byte is written, if there is one.
    fn pop_written(&mut self) -> Option<Frame> {
        let frame = *self.frames.front().filter(|frame| frame.len <= self.written)?;
        self.frames.pop_front();
        self.first += 1;
        self.written -= frame.len;
        self.len -= frame.len;
        if self.frames.is_empty() {
            self.frames.shrink_to(KEPT_FRAMES);
        }
        if let Some(block) = self.blocks.front_mut() {
            block.advance(frame.len);
            if block.is_empty() {
                self.blocks.pop_front();
            }
        }
        Some(frame)
    }

    fn bytes(&self) -> BytesMut {
        let mut all = BytesMut::with_capacity(self.blocks.iter().map(Bytes::len).sum());
        for block in &self.blocks {
            all.extend_from_slice(block);
        }
        all
    }
}

/// Both queues, and what was taken from them.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    urgent: Queue,
    normal: Queue,
    taken: Taken,
    /// Bytes queued and taken.
    held: usize,
}

impl Outbox {
    pub(crate) const fn queue(&mut self, urgent: bool) -> &mut Queue {
        if urgent { &mut self.urgent } else { &mut self.normal }
    }

    /// Admits the draft of a queue as one frame of this call, and returns its number there.
    pub(crate) fn admit(&mut self, urgent: bool, call: u32) -> u64 {
        let (number, len) = self.queue(urgent).admit(call);
        self.held += len;
        number
    }

    /// Takes complete frames from the front of a queue as one block. The block has at most `max_bytes`, or one frame;
    /// `None` if nothing waits. Calls `note` with each call and its number among the frames that were taken.
    pub(crate) fn take(
        &mut self,
        urgent: bool,
        max_bytes: usize,
        max_frames: usize,
        mut note: impl FnMut(u32, u64),
    ) -> Option<Bytes> {
        let queue = if urgent { &mut self.urgent } else { &mut self.normal };
        let (mut count, mut len, mut live, mut gone) = (0, 0, 0, false);
        for frame in &queue.frames {
            if frame.call.is_some() && (live == max_frames || (live > 0 && len + frame.len > max_bytes)) {
                break;
            }
            count += 1;
            len += frame.len;
            gone |= frame.call.is_none();
            live += usize::from(frame.call.is_some());
        }
        let before = self.taken.frames.len();
        if count == 0 {
            return None;
        }
        let block = queue.split(count, len, gone, &mut self.taken.frames);
        let numbers = self.taken.first + before as u64..;
        self.taken
            .frames
            .range(before..)
            .zip(numbers)
            .filter_map(|(frame, number)| frame.call.map(|call| (call, number)))
            .for_each(|(call, number)| note(call, number));
        self.taken.len += block.len();
        if !block.is_empty() {
            self.taken.blocks.push_back(block.clone());
        }
        (live > 0).then_some(block)
    }

    /// Records that the connection has written this many more bytes of what was taken. Call [`pop_sent`](Self::pop_sent)
    /// until it returns `None`.
    pub(crate) fn handle_written(&mut self, bytes: usize) {
        self.taken.written = self.taken.written.saturating_add(bytes).min(self.taken.len);
    }

    /// The oldest call with a request that was sent to its last byte.
    pub(crate) fn pop_sent(&mut self) -> Option<u32> {
        loop {
            let frame = self.taken.pop_written()?;
            if frame.call.is_some() {
                self.held -= frame.len;
                return frame.call;
            }
        }
    }

    /// Withdraws a frame that is queued under this number.
    pub(crate) fn withdraw_queued(&mut self, urgent: bool, number: u64) {
        self.held -= self.queue(urgent).mark_withdrawn(number);
    }

    /// Withdraws a frame that was taken under this number; `false` if a byte of it is already written.
    pub(crate) fn withdraw_taken(&mut self, number: u64) -> bool {
        let Some(index) = number.checked_sub(self.taken.first).and_then(|index| usize::try_from(index).ok()) else {
            return false;
        };
        if index == 0 && self.taken.written > 0 {
            return false;
        }
        let Some(frame) = self.taken.frames.get_mut(index) else { return false };
        frame.call = None;
        self.held -= frame.len;
        self.taken.recalled = true;
        true
    }

    /// After a frame was withdrawn from what was taken: everything that the connection still has to write, replacing
    /// what it holds.
    pub(crate) fn recall(&mut self) -> Option<Bytes> {
        let taken = &mut self.taken;
        if !std::mem::take(&mut taken.recalled) {
            return None;
        }
        let kept = without_withdrawn(&taken.bytes(), taken.frames.iter()).freeze();
        // Withdrawn frames keep their places, so that the numbers of the others stay right.
        taken.frames.iter_mut().filter(|frame| frame.call.is_none()).for_each(|frame| frame.len = 0);
        taken.len = kept.len();
        taken.blocks = VecDeque::from_iter((!kept.is_empty()).then(|| kept.clone()));
        while taken.frames.front().is_some_and(|frame| frame.call.is_none()) {
            taken.frames.pop_front();
            taken.first += 1;
        }
        Some(kept.slice(taken.written..))
    }

    /// Forgets every frame that was not sent.
    pub(crate) fn clear(&mut self) {
        self.urgent.clear();
        self.normal.clear();
        self.taken = Taken { first: self.taken.first + self.taken.frames.len() as u64, ..Taken::default() };
        self.held = 0;
    }

    /// Forgets every frame that was not sent, except the normal ones, which are all queued again in their order. Calls
    /// `note` with the call and the new number of each frame that had been taken.
    pub(crate) fn put_back(&mut self, is_normal: impl Fn(u32) -> bool, mut note: impl FnMut(u32, u64)) {
        self.urgent.clear();
        let first = self.taken.first + self.taken.frames.len() as u64;
        let mut taken = std::mem::replace(&mut self.taken, Taken { first, ..Taken::default() });
        for frame in &mut taken.frames {
            frame.call = frame.call.filter(|call| is_normal(*call));
        }
        let bytes = without_withdrawn(&taken.bytes(), taken.frames.iter());
        taken.frames.retain(|frame| frame.call.is_some());
        if !taken.frames.is_empty() {
            let first = self.normal.put_back(&bytes, taken.frames.make_contiguous());
            taken
                .frames
                .iter()
                .filter_map(|frame| frame.call)
                .zip(first..)
                .for_each(|(call, number)| note(call, number));
        }
        self.held = self.normal.frames.iter().filter(|frame| frame.call.is_some()).map(|frame| frame.len).sum();
    }

    /// Bytes not yet sent.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// Whether a frame waits to be taken.
    pub(crate) fn has_queued(&self, urgent: bool) -> bool {
        let queue = if urgent { &self.urgent } else { &self.normal };
        queue.live > 0
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(outbox: &mut Outbox, call: u32, frame: &[u8]) -> u64 {
        outbox.queue(false).draft().extend_from_slice(frame);
        outbox.admit(false, call)
    }

    fn take(outbox: &mut Outbox, max_bytes: usize) -> Option<Bytes> {
        outbox.take(false, max_bytes, usize::MAX, |_, _| {})
    }

    fn sent(outbox: &mut Outbox, bytes: usize) -> Vec<u32> {
        outbox.handle_written(bytes);
        std::iter::from_fn(|| outbox.pop_sent()).collect()
    }

    #[test]
    fn frames_leave_in_the_order_they_came_in_blocks_of_whole_ones() {
        let mut outbox = Outbox::default();
        for (call, frame) in (0..).zip([&b"one"[..], b"", b"three", b"4"]) {
            admit(&mut outbox, call, frame);
        }
        assert_eq!(take(&mut outbox, 5).unwrap(), "one");
        assert_eq!(take(&mut outbox, 1).unwrap(), "three", "a frame larger than a block goes alone");
        assert_eq!(outbox.held(), 9, "taken is not sent");
        assert_eq!(sent(&mut outbox, 2), []);
        assert_eq!(sent(&mut outbox, 1), [0, 1]);
        assert_eq!(sent(&mut outbox, 100), [2], "what was not taken cannot be sent");
        assert_eq!(sent(&mut outbox, 100), []);
        assert_eq!((outbox.held(), outbox.has_queued(false)), (1, true));
        assert_eq!(take(&mut outbox, 5).unwrap(), "4");
        assert!(take(&mut outbox, 5).is_none() && !outbox.has_queued(false));
    }

    #[test]
    fn a_draft_that_was_not_admitted_leaves_no_trace() {
        let mut outbox = Outbox::default();
        admit(&mut outbox, 0, b"kept");
        outbox.queue(false).draft().extend_from_slice(b"half a fra");
        assert_eq!(outbox.queue(false).drafted(), 10);
        // As after a panic in an encoder: the draft was not discarded.
        admit(&mut outbox, 1, b"next");
        assert_eq!(take(&mut outbox, 100).unwrap(), "keptnext");
    }

    #[test]
    fn withdrawn_frames_are_left_out_wherever_they_are() {
        let mut outbox = Outbox::default();
        let numbers: Vec<_> = (0..6).map(|call| admit(&mut outbox, call, &[b'a' + call as u8; 2])).collect();
        outbox.withdraw_queued(false, numbers[1]);
        outbox.withdraw_queued(false, numbers[5]);
        let mut taken = Vec::new();
        let block = outbox.take(false, 100, 3, |call, number| taken.push((call, number))).unwrap();
        assert_eq!((block.as_ref(), &taken[..]), (&b"aaccdd"[..], &[(0, 0), (2, 1), (3, 2)][..]));
        assert!(outbox.withdraw_taken(1));
        assert_eq!(outbox.recall().unwrap(), "aadd");
        assert_eq!(take(&mut outbox, 100).unwrap(), "ee");
        assert!(!outbox.has_queued(false));
        assert_eq!(sent(&mut outbox, 3), [0]);
        assert!(!outbox.withdraw_taken(2), "a byte of it is written");
        assert_eq!(sent(&mut outbox, 3), [3, 4]);
        assert_eq!(outbox.held(), 0);
    }

    #[test]
    fn an_outbox_that_is_never_empty_does_not_grow() {
        let mut outbox = Outbox::default();
        let frame = vec![7; 1000];
        admit(&mut outbox, 0, &frame);
        for call in 1..10_000 {
            admit(&mut outbox, call, &frame);
            assert_eq!(outbox.take(false, 1000, 1, |_, _| {}).unwrap().len(), 1000);
            assert_eq!(sent(&mut outbox, 1000), [call - 1]);
        }
        assert!(outbox.queue(false).slab.capacity() < KEPT, "{}", outbox.queue(false).slab.capacity());
    }

    #[test]
    fn many_small_frames_give_their_memory_back() {
        let mut outbox = Outbox::default();
        for call in 0..1000 {
            admit(&mut outbox, call, &[0; 700]);
        }
        // The slab has grown by doubling, so that there is room behind its last frame.
        assert!(outbox.queue(false).slab.capacity() > 700_000);
        assert_eq!(take(&mut outbox, usize::MAX).unwrap().len(), 700_000);
        assert_eq!(outbox.queue(false).slab.capacity(), 0);
        assert!(outbox.queue(false).frames.capacity() <= KEPT_FRAMES);
        // Less than what is kept: the memory stays for the next burst.
        admit(&mut outbox, 0, &[0; 700]);
        let room = outbox.queue(false).slab.capacity();
        assert_eq!(take(&mut outbox, usize::MAX).unwrap().len(), 700);
        assert_eq!(outbox.queue(false).slab.capacity(), room - 700);
    }

    #[test]
    fn large_frames_and_large_drafts_give_their_memory_back() {
        let mut outbox = Outbox::default();
        admit(&mut outbox, 0, &vec![0; 8 << 20]);
        assert_eq!(take(&mut outbox, 1).unwrap().len(), 8 << 20);
        assert_eq!(sent(&mut outbox, 8 << 20), [0]);
        assert_eq!(outbox.queue(false).slab.capacity(), 0);
        for kept in [&b""[..], b"kept"] {
            if !kept.is_empty() {
                admit(&mut outbox, 1, kept);
            }
            outbox.queue(false).draft().extend_from_slice(&vec![0; 8 << 20]);
            outbox.queue(false).discard();
            assert!(outbox.queue(false).slab.capacity() <= KEPT);
        }
        assert_eq!(take(&mut outbox, 1).unwrap(), "kept");
    }
}
