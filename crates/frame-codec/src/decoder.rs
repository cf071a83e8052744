//! Bytes in, batches out: the receiving buffer of one stream.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{fmt, mem};

use bytes::{Buf as _, BufMut, Bytes, BytesMut};

use crate::{Batch, Error, Framing, Limits, Scan, batch::Index};

mod oversize;
mod spares;
#[cfg(test)]
mod tests;

use oversize::{Begun, Passage, Passed};
use spares::Spares;

/// A frame from this size on (half of a usual read) is read to its end and no further, so that the beginning of the next
/// one is not moved from buffer to buffer.
const LARGE: usize = 32 << 10;

/// A buffer grows when this much of it is left: late, so that it is at most twice what has arrived and a little.
const LEAST: usize = 4 << 10;

/// An idle connection keeps a buffer of at most this many bytes.
const KEEP: usize = 1 << 10;

/// The index of a batch may outgrow the bytes it describes by this much and no more: 1024 empty frames.
const INDEX_ALLOWANCE: usize = 8 << 10;

/// No batch has more bytes than this and one frame, so that offsets fit 32 bits however much was fed at once.
const MAX_BLOCK: usize = 64 << 20;

/// A block that is at least this part of the buffer is split off; a smaller one is copied out. What a batch keeps alive is
/// therefore at most this many times what it counts.
const SHARE_OF_BUFFER: usize = 4;

/// Cuts frames out of the bytes of one stream, whatever pieces they arrive in.
///
/// Fill it with [`room`](Self::room) (no copy) or [`feed`](Self::feed) (a copy), take what is complete with
/// [`next_batch`](Self::next_batch) until that answers `None`, and say how the stream ended: [`finish`](Self::finish)
/// for an orderly end, [`truncated_len`](Self::truncated_len) after a reset.
///
/// ```text
///             feed / room                 next_batch
///   stream ───────────────▶ [ frame | frame | part ] ───────────▶ Batch { frame, frame }
///                                               └── stays until the rest of it arrives
/// ```
///
/// # Limits
///
/// The buffer grows with what has arrived, at most doubling, never to a length that a header merely claims. It holds at
/// most one incomplete frame ([`Limits::max_frame`]) and one read: 64 KiB, or as much again as has come of that frame. Beside
/// it up to three blocks of at most 128 KiB are remembered that were read into before, while reads are large enough to use
/// them again. It is never full: frames that were taken make room. A batch that fills less than a quarter of it is copied
/// out, so that messages that trickle in do not each keep a buffer. Whoever waits for more calls
/// [`release`](Self::release), after which a connection that is idle between frames holds at most 1 KiB.
pub struct Decoder<F> {
    framing: F,
    limits: Limits,
    unread: BytesMut,
    /// Bytes in the allocation that `unread` is the free end of.
    block: usize,
    /// Whether nothing was taken from that allocation yet, so that `unread` is all of it and can grow where it is.
    fresh: bool,
    /// Blocks from before, to be used again when nobody holds frames in them any longer.
    spares: Spares,
    /// What the last scan said about the frame at the front of `unread`.
    pending: Pending,
    /// Room for the next read, between `Limits::min_read` and `Limits::max_read`.
    read_size: usize,
    /// The room that was given out last, until somebody looks at what was put there.
    offer: Option<Offer>,
    /// Frames in the batch before, as a guess for the next.
    expected: usize,
    /// Bytes of the frame before with all that surrounds it, if it was large: the next may be like it.
    large: usize,
    /// What is being done about frames over the limit.
    passage: Passage,
    is_unterminated: bool,
    state: State,
}

#[derive(Clone, Copy)]
struct Pending {
    at_least: usize,
    scanned: usize,
}

#[derive(Clone, Copy)]
struct Offer {
    room: usize,
    len_before: usize,
}

/// ```text
///   Open ──finish──▶ Finished
///     └───bad bytes──▶ Broken     (sticky: every later call repeats the error)
/// ```
enum State {
    Open,
    Finished,
    Broken(Error),
}

impl<F: Framing> Decoder<F> {
    /// A decoder at the start of a stream.
    pub fn new(framing: F, limits: Limits) -> Self {
        Self {
            framing,
            limits,
            unread: BytesMut::new(),
            block: 0,
            fresh: true,
            spares: Spares::default(),
            pending: Pending { at_least: 1, scanned: 0 },
            read_size: limits.min_read(),
            offer: None,
            expected: 16,
            large: 0,
            passage: Passage::default(),
            is_unterminated: false,
            state: State::Open,
        }
    }

    /// Room for the next read, to be handed to something that fills a [`BufMut`].
    ///
    /// Never empty. What is written to it counts as arrived.
    pub fn room(&mut self) -> impl BufMut + '_ {
        let room = self.make_room();
        (&mut self.unread).limit(room)
    }

    /// Lets `read` fill room that is initialised, for readers that want a slice; it answers how many bytes it wrote.
    ///
    /// # Errors
    ///
    /// Whatever `read` says; nothing has arrived then.
    ///
    /// # Panics
    ///
    /// If `read` claims to have written more than it was lent.
    pub fn read_with<E>(&mut self, read: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        /// Takes back what was lent and not filled, however the reading went.
        struct Lent<'a> {
            unread: &'a mut BytesMut,
            arrived: usize,
        }

        impl Drop for Lent<'_> {
            fn drop(&mut self) {
                self.unread.truncate(self.arrived);
            }
        }

        let room = self.make_room();
        let arrived = self.unread.len();
        self.unread.resize(arrived.saturating_add(room), 0);
        let mut lent = Lent { unread: &mut self.unread, arrived };
        let filled = read(lent.unread.get_mut(arrived..).unwrap_or_default())?;
        assert!(filled <= room, "a reader filled {filled} bytes of {room}");
        lent.arrived = arrived.saturating_add(filled);
        Ok(filled)
    }

    /// Copies bytes in that arrived by other ways than [`room`](Self::room).
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.unread.capacity().saturating_sub(self.unread.len()) < bytes.len() {
            self.grow(bytes.len());
        }
        self.unread.extend_from_slice(bytes);
    }

    /// Sees to it that there is room behind `unread`, and says how much of it to offer.
    fn make_room(&mut self) -> usize {
        let len = self.unread.len();
        let free = self.unread.capacity().saturating_sub(len);
        // A large frame that has begun, or one like the last: to its end and no further.
        let frame = if len == 0 { self.large } else { self.pending.at_least };
        let most = match frame.checked_sub(len) {
            // A single byte says nothing: that much is always missing where no length is declared.
            Some(rest @ 2..) if frame >= LARGE => rest,
            _ => usize::MAX,
        };
        // What has arrived before may arrive again; what is only declared may not. A frame that is still coming moves a
        // bounded number of times, because its buffer doubles.
        let doubled = if self.fresh { len } else { 0 };
        let wanted = self.read_size.max(doubled).max(self.large).min(most);
        // A block is used up before there is a new one: frames of a few bytes must not hold one each. The last it offers
        // is not too little for a read.
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

    /// Makes room for `more` bytes behind `unread`: where it was if nobody holds frames there, else in a new block.
    fn grow(&mut self, more: usize) {
        if self.fresh && !self.unread.is_empty() {
            self.unread.reserve(more);
            self.block = self.unread.capacity();
        } else if !self.unread.try_reclaim(more) {
            self.renew(self.unread.len().saturating_add(more));
        }
    }

    /// Moves what is unread to another block.
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

    /// Gives back memory that nothing waits in, for a connection from which nothing comes right now.
    ///
    /// A buffer that is only waiting goes, if it is larger than 1 KiB. What has come of an incomplete frame stays, and once
    /// that is more than 1 KiB, so does the buffer it grows in.
    pub fn release(&mut self) {
        self.offer = None;
        if self.block > KEEP && self.unread.len() <= KEEP {
            self.renew(self.unread.len());
        }
        self.spares = Spares::default();
    }

    /// Looks at what the last read made of its room: the next is offered more if it was full, less if it hardly was.
    fn adapt(&mut self) {
        let Some(Offer { room, len_before }) = self.offer.take() else { return };
        let filled = self.unread.len().saturating_sub(len_before);
        if filled >= room {
            self.read_size = self.read_size.saturating_mul(2).min(self.limits.max_read());
        } else if filled < self.read_size / 16 {
            self.read_size = (self.read_size / 2).max(self.limits.min_read());
            self.spares.shed(self.read_size);
        }
    }

    /// Takes the frames that are complete, but for floods — 64 MiB, or a thousand frames of next to nothing — at once;
    /// `None` means that more bytes are needed.
    ///
    /// # Errors
    ///
    /// The peer broke the framing. Frames that were complete before the broken one have been given out. The error is
    /// final: every later call repeats it.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, Error> {
        match self.next_found() {
            // What was left out before the error comes first. The error stays.
            Err(error) => self.skipped_last().map_or(Err(error), |batch| Ok(Some(batch))),
            found => found,
        }
    }

    #[inline]
    fn next_found(&mut self) -> Result<Option<Batch>, Error> {
        match &self.state {
            State::Open => {}
            State::Finished => return Ok(None),
            State::Broken(error) => return Err(error.clone()),
        }
        self.adapt();
        if self.unread.len() < self.pending.at_least {
            return Ok(None);
        }
        // A framing may call a frame too large before any of it has come: then there is nothing to begin with.
        if self.passage.is_under_way() && (!self.pass_over()? || self.unread.is_empty()) {
            return Ok(self.skipped_last());
        }
        loop {
            let found = self.take_frames();
            let error = match found {
                Ok(Some(batch)) => return Ok(Some(batch.behind(self.passage.take_skipped()))),
                Ok(None) => return Ok(self.skipped_last()),
                Err(error) => error,
            };
            match self.begin_passing(error)? {
                Begun::Shortened(batch) => return Ok(Some(batch)),
                Begun::Passing if self.pass_over()? && !self.unread.is_empty() => {}
                Begun::Passing | Begun::Waiting { .. } => return Ok(self.skipped_last()),
            }
        }
    }

    /// Begins to pass over the frame at the front, which the framing answered with `error`. An error is final.
    fn begin_passing(&mut self, error: Error) -> Result<Begun, Error> {
        let before = self.unread.len();
        let begun = self.passage.begin(&self.framing, &self.limits, &mut self.unread, error);
        self.fresh &= self.unread.len() == before;
        match &begun {
            Ok(Begun::Waiting { at_least }) => self.pending = Pending { at_least: *at_least, scanned: 0 },
            // The next call passes over what follows.
            Ok(Begun::Shortened(_)) => self.pending = Pending { at_least: 0, scanned: 0 },
            Ok(Begun::Passing) => {}
            Err(error) => self.break_off(error),
        }
        begun
    }

    /// Drops what has arrived of the frame that is passed over. Answers whether that was the last of it.
    fn pass_over(&mut self) -> Result<bool, Error> {
        let before = self.unread.len();
        let passed = self.passage.pass_over(&self.framing, &mut self.unread);
        self.fresh &= self.unread.len() == before;
        let at_least = match passed {
            Ok(Passed::All) => 1,
            Ok(Passed::Part { at_least }) => at_least,
            Err(error) => {
                self.break_off(&error);
                return Err(error);
            }
        };
        self.pending = Pending { at_least, scanned: 0 };
        Ok(matches!(passed, Ok(Passed::All)))
    }

    fn break_off(&mut self, error: &Error) {
        self.passage.end();
        self.state = State::Broken(error.clone());
    }

    /// The frames that are complete at the front. After an error nothing was taken.
    #[inline]
    fn take_frames(&mut self) -> Result<Option<Batch>, Error> {
        let mut index = Index::expecting(self.expected.min(self.unread.len()));
        let mut taken: usize = 0;
        let mut scanned = self.pending.scanned;
        let mut last: usize = 0;
        self.pending = loop {
            let rest = self.unread.get(taken..).unwrap_or_default();
            match self.framing.scan(rest, scanned, self.limits.max_frame()) {
                Ok(Scan::Frame { payload, end }) => {
                    index.push(taken.saturating_add(payload.start), taken.saturating_add(payload.end));
                    taken = taken.saturating_add(end);
                    scanned = 0;
                    last = end;
                    if index.memory_len() > taken.saturating_add(INDEX_ALLOWANCE) || taken >= MAX_BLOCK {
                        break Pending { at_least: 1, scanned: 0 };
                    }
                }
                Ok(Scan::More { at_least, scanned }) => {
                    let padding = self.framing.padding(rest).min(rest.len());
                    taken = taken.saturating_add(padding);
                    let at_least = at_least.saturating_sub(padding).max(1);
                    break Pending { at_least, scanned: scanned.saturating_sub(padding) };
                }
                // The frames before it are given out first; then it is found again.
                Err(_) if index.len() > 0 => break Pending { at_least: 1, scanned: 0 },
                Err(error) => return Err(error),
            }
        };
        if index.len() == 0 {
            self.unread.advance(taken);
            self.fresh &= taken == 0;
            return Ok(None);
        }
        self.large = if last >= LARGE { last } else { 0 };
        self.expected = index.len();
        let block = self.take_front(taken);
        Ok(Some(Batch::of(index, block)))
    }

    /// A batch without frames, if there is one to say that frames were left out.
    fn skipped_last(&mut self) -> Option<Batch> {
        match self.passage.take_skipped() {
            0 => None,
            skipped => Some(Batch::default().behind(skipped)),
        }
    }

    /// Says that the stream ended in an orderly way, and takes a last frame that needs no terminator, if there is one.
    ///
    /// Frames that were complete before and [`next_batch`](Self::next_batch) was not asked for come first: call it until it
    /// answers `None`. What then remains is an incomplete frame: [`truncated_len`](Self::truncated_len) bytes of it.
    ///
    /// # Errors
    ///
    /// As for [`next_batch`](Self::next_batch).
    pub fn finish(&mut self) -> Result<Option<Batch>, Error> {
        match &self.state {
            State::Open => {}
            State::Finished => return Ok(None),
            State::Broken(error) => return Err(error.clone()),
        }
        // The end says what the rest is, and only that of which a scan did not know it.
        if let Some(batch) = self.next_batch()? {
            return Ok(Some(batch));
        }
        if self.passage.end() {
            // What has come of it was counted as left out, or its beginning given out.
            self.unread.clear();
            self.state = State::Finished;
            return Ok(None);
        }
        match self.framing.at_eof(&self.unread, self.limits.max_frame()) {
            Ok(Scan::Frame { payload, end }) => {
                self.end_unterminated();
                let mut index = Index::expecting(1);
                index.push(payload.start, payload.end);
                let block = self.take_front(end);
                Ok(Some(Batch::of(index, block)))
            }
            Ok(Scan::More { .. }) => {
                self.state = State::Finished;
                Ok(None)
            }
            Err(error) => match self.begin_passing(error)? {
                Begun::Shortened(batch) => {
                    self.end_unterminated();
                    self.passage.end();
                    self.unread.clear();
                    Ok(Some(batch))
                }
                Begun::Passing => {
                    self.state = State::Finished;
                    self.passage.end();
                    self.unread.clear();
                    Ok(self.skipped_last())
                }
                Begun::Waiting { .. } => {
                    self.state = State::Finished;
                    Ok(None)
                }
            },
        }
    }

    /// The same as [`finish`](Self::finish) for a stream that goes on and is read no further: a rest that an orderly end
    /// would make a frame is one, because the peer may have written no more; but not where the end of the stream
    /// [is the only end](Framing::ends_at_eof) a frame has, because there it is missing.
    ///
    /// # Errors
    ///
    /// As for [`next_batch`](Self::next_batch).
    pub fn finish_early(&mut self) -> Result<Option<Batch>, Error> {
        if self.framing.ends_at_eof() { self.next_batch() } else { self.finish() }
    }

    fn end_unterminated(&mut self) {
        self.state = State::Finished;
        self.is_unterminated = !self.framing.ends_at_eof();
    }

    /// Whether the last frame was ended by the end of the stream instead of its terminator: it may be the beginning of a
    /// longer one whose sender was interrupted.
    #[must_use]
    pub const fn is_unterminated(&self) -> bool {
        self.is_unterminated
    }

    /// The first bytes of the buffer as a block. One that is small gets memory of its own: it would keep all of the buffer
    /// for as long as somebody keeps a frame of it.
    fn take_front(&mut self, len: usize) -> Bytes {
        self.fresh = false;
        if len >= self.block / SHARE_OF_BUFFER {
            return self.unread.split_to(len).freeze();
        }
        let block = Bytes::copy_from_slice(self.unread.get(..len).unwrap_or_default());
        self.unread.advance(len);
        block
    }

    /// The bytes that belong to no complete frame: what is cut if nothing follows.
    #[must_use]
    pub fn truncated_len(&self) -> usize {
        self.unread.len()
    }

    /// The memory its buffers take, in bytes, that of frames which share a block with them included.
    #[must_use]
    pub fn memory_len(&self) -> usize {
        self.block.saturating_add(self.spares.memory_len())
    }

    /// What is wrong with the stream if it ends here: nothing, or a frame that was cut.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`].
    pub fn check_end(&self) -> Result<(), Error> {
        match self.truncated_len() {
            0 => Ok(()),
            have => Err(Error::Truncated { have, at_least: self.pending.at_least }),
        }
    }

    /// The limits in force.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl<F: fmt::Debug> fmt::Debug for Decoder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("framing", &self.framing).field("unread", &self.unread.len()).finish()
    }
}
