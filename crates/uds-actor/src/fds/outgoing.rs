//! Descriptors that wait to be sent, each lot with the offset of the frame it belongs to.

use std::{
    collections::VecDeque,
    fmt, mem,
    os::fd::OwnedFd,
    sync::{Mutex, PoisonError},
};

use frame_codec::Batch;

use super::{Fault, books::Books};

/// The queue, in the order of the stream.
///
/// The frames themselves are in the outbox, as bytes. What joins the two is the offset in the stream at which a frame
/// begins: a write stops short of it, and the write that begins there takes the descriptors along.
#[derive(Debug)]
pub(super) struct Outgoing {
    queue: VecDeque<Parcel>,
    /// Descriptors in the queue, and the most there should be.
    queued: usize,
    limit: usize,
    /// Bytes of the stream written so far.
    written: u64,
    pub(super) sent: u64,
    pub(super) dropped: u64,
    pub(super) unsent: u64,
    /// Those of frames that were given back, one entry for each frame.
    given_back: Vec<Vec<OwnedFd>>,
}

/// The descriptors of one frame.
#[derive(Debug)]
struct Parcel {
    at: u64,
    descriptors: Vec<OwnedFd>,
}

/// What the next write may be.
#[derive(Debug)]
pub(super) struct Portion {
    /// It ends here at the latest, counted from where it begins: there begins a frame with descriptors.
    pub(super) bytes: usize,
    /// What goes along with its first byte.
    pub(super) descriptors: Vec<OwnedFd>,
}

impl Outgoing {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            queued: 0,
            limit,
            written: 0,
            sent: 0,
            dropped: 0,
            unsent: 0,
            given_back: Vec::new(),
        }
    }

    fn has_room(&self, count: usize) -> bool {
        self.queued == 0 || self.queued + count <= self.limit
    }

    fn push(&mut self, at: u64, descriptors: Vec<OwnedFd>) {
        debug_assert!(self.queue.back().is_none_or(|last| last.at < at), "frames begin one after another");
        self.queued += descriptors.len();
        self.queue.push_back(Parcel { at, descriptors });
    }

    /// What may be written now. One write at a time; how it went is told to [`settle`](Self::settle).
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

    /// Moves on by what a write took, which may be nothing. Gives back the descriptors that are sent, to be closed when no
    /// lock is held.
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

    /// The stream has ended: what is left in the queue belongs to these frames, of which no byte was written. They lose the
    /// count in front.
    pub(super) fn give_back(&mut self, unsent: Batch) -> Batch {
        let mut left = mem::take(&mut self.queue).into_iter();
        self.queued = 0;
        let mut payloads = Vec::with_capacity(unsent.len());
        for mut frame in unsent {
            let descriptors = match Fault::count_of(&frame) {
                Ok(1..) => left.next().map(|parcel| parcel.descriptors).unwrap_or_default(),
                Ok(0) | Err(_) => Vec::new(),
            };
            self.unsent += descriptors.len() as u64;
            self.given_back.push(descriptors);
            payloads.push(Batch::single(frame.split_off(1.min(frame.len()))));
        }
        Batch::concat(payloads)
    }

    pub(super) fn take_given_back(&mut self) -> Vec<Vec<OwnedFd>> {
        mem::take(&mut self.given_back)
    }
}

/// The sender's descriptors, lent for as long as it waits: they stay the caller's until the frame is queued.
#[derive(Debug)]
pub(crate) struct Descriptors<'a> {
    books: &'a Books,
    frame: &'a [u8],
    theirs: &'a mut Vec<OwnedFd>,
}

impl<'a> Descriptors<'a> {
    pub(super) const fn new(books: &'a Books, frame: &'a [u8], theirs: &'a mut Vec<OwnedFd>) -> Self {
        Self { books, frame, theirs }
    }

    /// Tries to have them queued; what is not taken goes back to the caller.
    pub(crate) fn attach<R>(&mut self, push: impl FnOnce(&Attachment<'_>) -> R) -> R {
        let descriptors = mem::take(self.theirs);
        let attachment = Attachment {
            books: self.books,
            frame: self.frame,
            count: descriptors.len(),
            descriptors: Mutex::new(descriptors),
        };
        let outcome = push(&attachment);
        *self.theirs = attachment.descriptors.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcome
    }

    /// Closes what is left, because its frame was dropped for want of room.
    pub(super) fn drop_rest(&mut self) {
        self.books.outgoing().dropped += self.theirs.len() as u64;
        self.theirs.clear();
    }
}

/// What the outbox asks and tells about descriptors while it queues their frame.
pub(crate) struct Attachment<'a> {
    books: &'a Books,
    frame: &'a [u8],
    count: usize,
    /// There until the frame is queued.
    descriptors: Mutex<Vec<OwnedFd>>,
}

impl Attachment<'_> {
    pub(crate) const fn payload(&self) -> &[u8] {
        self.frame
    }

    pub(crate) fn has_room(&self) -> bool {
        self.books.outgoing().has_room(self.count)
    }

    /// The frame is queued, and no byte of it can have been written yet: this is where it begins in the stream.
    pub(crate) fn begin_at(&self, offset: u64) {
        let descriptors = mem::take(&mut *self.descriptors.lock().unwrap_or_else(PoisonError::into_inner));
        self.books.outgoing().push(offset, descriptors);
    }
}

impl fmt::Debug for Attachment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("count", &self.count).finish_non_exhaustive()
    }
}
