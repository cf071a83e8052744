//! Requests on their way out: encoded once, taken in order, and counted until the connection has them.

use std::collections::VecDeque;

/// Capacity kept for the next burst when the slab runs empty, in bytes.
const KEPT: usize = 256 << 10;

/// One slab of bytes, many frames. A frame is *queued* until the driver takes it, *taken* until the driver
/// says that its last byte was handed to the connection, and *sent* from then on.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    slab: Vec<u8>,
    /// Where the first queued frame begins in the slab.
    start: usize,
    /// Lengths of the queued frames.
    queued: VecDeque<usize>,
    /// Lengths of the taken frames.
    taken: VecDeque<usize>,
    /// Where the last queued frame ends in the slab; what lies behind it was never admitted.
    end: usize,
    /// Bytes queued and taken.
    held: usize,
    /// Frames ever admitted.
    admitted: u64,
    /// Frames ever sent.
    sent: u64,
}

impl Outbox {
    /// The slab to append a frame to. The frame counts from [`admit`](Self::admit) on; without that, the
    /// next use of the slab overwrites it.
    pub(crate) fn slab(&mut self) -> &mut Vec<u8> {
        self.slab.truncate(self.end);
        if self.start == self.end {
            self.recycle();
        } else if self.start > KEPT && self.start > self.end / 2 {
            // More than half of a large slab is behind us: moving the rest costs less than what was taken.
            self.slab.drain(..self.start);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.slab
    }

    /// Bytes appended and not admitted.
    pub(crate) fn drafted(&self) -> usize {
        self.slab.len() - self.end
    }

    /// Admits what was appended as one frame, and says its number.
    pub(crate) fn admit(&mut self) -> u64 {
        let len = self.drafted();
        self.end = self.slab.len();
        self.queued.push_back(len);
        self.held += len;
        let number = self.admitted;
        self.admitted += 1;
        number
    }

    /// Forgets what was appended and not admitted, and gives a large draft's memory back.
    pub(crate) fn discard(&mut self) {
        self.slab.truncate(self.end);
        self.slab.shrink_to(self.end.max(KEPT));
    }

    /// The next queued frame, which is taken from then on.
    pub(crate) fn take(&mut self) -> Option<&[u8]> {
        if self.queued.is_empty() {
            self.recycle();
            return None;
        }
        let len = self.queued.pop_front()?;
        let frame = self.start..self.start + len;
        self.start = frame.end;
        self.taken.push_back(len);
        self.slab.get(frame)
    }

    /// Takes note that the oldest `frames` taken frames were handed to the connection.
    pub(crate) fn handle_sent(&mut self, frames: usize) {
        for len in self.taken.drain(..frames.min(self.taken.len())) {
            self.held -= len;
            self.sent += 1;
        }
    }

    /// Forgets every frame that was not sent.
    pub(crate) fn clear(&mut self) {
        *self = Self { admitted: self.admitted, sent: self.sent, ..Self::default() };
    }

    /// Bytes not yet sent.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Frames ever sent: the frames with a lower number.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether a frame waits to be taken.
    pub(crate) fn has_queued(&self) -> bool {
        !self.queued.is_empty()
    }

    fn recycle(&mut self) {
        self.slab.clear();
        self.slab.shrink_to(KEPT);
        self.start = 0;
        self.end = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(outbox: &mut Outbox, frame: &[u8]) -> u64 {
        outbox.slab().extend_from_slice(frame);
        outbox.admit()
    }

    #[test]
    fn frames_leave_in_the_order_they_came() {
        let mut outbox = Outbox::default();
        assert_eq!(admit(&mut outbox, b"one"), 0);
        assert_eq!(admit(&mut outbox, b""), 1);
        assert_eq!(outbox.take(), Some(&b"one"[..]));
        assert_eq!(admit(&mut outbox, b"three"), 2);
        assert_eq!(outbox.take(), Some(&b""[..]));
        assert_eq!(outbox.take(), Some(&b"three"[..]));
        assert_eq!(outbox.take(), None);
        assert_eq!(outbox.held(), 8, "taken is not sent");
        outbox.handle_sent(2);
        assert_eq!((outbox.held(), outbox.sent()), (5, 2));
        outbox.handle_sent(100);
        assert_eq!((outbox.held(), outbox.sent()), (0, 3), "what was not taken cannot be sent");
    }

    #[test]
    fn a_draft_that_was_not_admitted_leaves_no_trace() {
        let mut outbox = Outbox::default();
        admit(&mut outbox, b"kept");
        outbox.slab().extend_from_slice(b"half a fra");
        assert_eq!(outbox.drafted(), 10);
        // As after a panic in an encoder: nobody discarded the draft.
        admit(&mut outbox, b"next");
        assert_eq!(outbox.take(), Some(&b"kept"[..]));
        assert_eq!(outbox.take(), Some(&b"next"[..]));
        assert_eq!(outbox.take(), None);
    }

    #[test]
    fn an_outbox_that_is_never_empty_does_not_grow() {
        let mut outbox = Outbox::default();
        let frame = vec![7; 1000];
        admit(&mut outbox, &frame);
        for _ in 0..10_000 {
            admit(&mut outbox, &frame);
            assert_eq!(outbox.take(), Some(&frame[..]));
            outbox.handle_sent(1);
        }
        assert!(outbox.slab.capacity() < 4 * KEPT, "{}", outbox.slab.capacity());
    }

    #[test]
    fn an_empty_outbox_gives_its_memory_back() {
        let mut outbox = Outbox::default();
        admit(&mut outbox, &vec![0; 8 << 20]);
        assert!(outbox.take().is_some());
        assert_eq!(outbox.take(), None);
        assert!(outbox.slab.capacity() <= KEPT);
    }
}
