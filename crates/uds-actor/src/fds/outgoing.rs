//! Descriptors that wait to be sent, with the offset of the frame they belong to.

use std::{collections::VecDeque, mem, os::fd::OwnedFd};

use frame_codec::Batch;

use super::fault::Fault;

/// The queue, in the order of the stream.
///
/// The frames themselves are bytes in the outbox. The offset in the stream at which a frame begins connects the two: a
/// write stops before it, and the write that begins there sends the descriptors.
#[derive(Debug)]
pub(super) struct Outgoing {
    queue: VecDeque<Parcel>,
    /// Descriptors in the queue, and the limit.
    queued: usize,
    limit: usize,
    /// Bytes of the stream written so far.
    written: u64,
    pub(super) sent: u64,
    pub(super) dropped: u64,
    pub(super) unsent: u64,
    /// The descriptors of frames that were given back, one entry for each frame; `None` before the end.
    given_back: Option<Vec<Vec<OwnedFd>>>,
}

/// The descriptors of one frame.
#[derive(Debug)]
struct Parcel {
    at: u64,
    descriptors: Vec<OwnedFd>,
}

/// The next write.
#[derive(Debug)]
pub(super) struct Portion {
    /// The maximum number of bytes: a frame with descriptors begins after them.
    pub(super) bytes: usize,
    /// The descriptors to send with its first byte.
    pub(super) descriptors: Vec<OwnedFd>,
}

impl Outgoing {
    pub(super) fn new(limit: usize) -> Self {
        Self { queue: VecDeque::new(), queued: 0, limit, written: 0, sent: 0, dropped: 0, unsent: 0, given_back: None }
    }

    pub(super) fn has_room(&self, count: usize) -> bool {
        self.queued == 0 || self.queued + count <= self.limit
    }

    pub(super) fn push(&mut self, at: u64, descriptors: Vec<OwnedFd>) {
        debug_assert!(self.queue.back().is_none_or(|last| last.at < at), "frames begin one after another");
        self.queued += descriptors.len();
        self.queue.push_back(Parcel { at, descriptors });
    }

    /// What may be written now. There is one write at a time; pass its result to [`settle`](Self::settle).
    pub(super) fn portion(&mut self) -> Portion {
        let descriptors = match self.queue.front_mut() {
            Some(first) if first.at == self.written => {
                let descriptors = mem::take(&mut first.descriptors);
                self.queue.pop_front();
                descriptors
            }
            _ => Vec::new(),
        };
        let bytes =
            self.queue.front().map_or(usize::MAX, |next| usize::try_from(next.at - self.written).unwrap_or(usize::MAX));
        Portion { bytes, descriptors }
    }

    /// Advances by what a write accepted, which may be nothing. Returns the descriptors that were sent, to be closed
    /// when no lock is held.
    pub(super) fn settle(&mut self, portion: Portion, written: usize) -> Vec<OwnedFd> {
        let descriptors = portion.descriptors;
        if written == 0 {
            if !descriptors.is_empty() {
                self.queue.push_front(Parcel { at: self.written, descriptors });
            }
            return Vec::new();
        }
        self.written += written as u64;
        self.queued -= descriptors.len();
        self.sent += descriptors.len() as u64;
        descriptors
    }

    /// The stream has ended, and no byte of these frames was written: the rest of the queue belongs to them. Returns
    /// the frames without their counts. Every report passes the same frames.
    pub(super) fn give_back(&mut self, unsent: Batch) -> Batch {
        if self.given_back.is_none() {
            let given_back: Vec<_> = unsent.iter().map(|frame| self.parcel_of(frame)).collect();
            self.unsent = given_back.iter().map(Vec::len).sum::<usize>() as u64;
            self.queued = 0;
            self.queue.clear();
            self.given_back = Some(given_back);
        }
        Batch::concat(unsent.into_frames().map(|mut frame| Batch::single(frame.split_off(1.min(frame.len())))))
    }

    /// The descriptors of the next unwritten frame.
    fn parcel_of(&mut self, frame: &[u8]) -> Vec<OwnedFd> {
        match Fault::count_of(frame) {
            Ok(1..) => self.queue.pop_front().map(|parcel| parcel.descriptors).unwrap_or_default(),
            Ok(0) | Err(_) => Vec::new(),
        }
    }

    pub(super) fn take_given_back(&mut self) -> Vec<Vec<OwnedFd>> {
        self.given_back.as_mut().map(mem::take).unwrap_or_default()
    }
}
