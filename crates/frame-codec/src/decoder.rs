//! Bytes in, batches out: the scan of one stream. `decoder/buffer.rs` has the memory that the bytes arrive in.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::fmt;

use bytes::BufMut;

use crate::{Batch, DecodeError, Framing, Limits, Scan, batch::Index};

mod buffer;
mod oversize;
mod spares;
#[cfg(test)]
mod tests;

use buffer::Buffer;
use oversize::{Begun, Passage, Passed};

/// The index of a batch may exceed the bytes that it describes by at most this much: 1024 empty frames.
const INDEX_ALLOWANCE: usize = 8 << 10;

/// No batch has more bytes than this plus one frame, so that offsets fit 32 bits however much was fed at once.
const MAX_BLOCK: usize = 64 << 20;

/// Splits the bytes of one stream into frames, whatever pieces they arrive in.
///
/// Fill it with [`room`](Self::room) (no copy) or [`feed`](Self::feed) (a copy). Take the complete frames with
/// [`next_batch`](Self::next_batch) until it returns `None`. When the stream ends normally, call
/// [`finish`](Self::finish); after a reset, [`truncated_len`](Self::truncated_len) says how much of a frame was left.
///
/// ```text
///             feed / room                 next_batch
///   stream ───────────────▶ [ frame | frame | part ] ───────────▶ Batch { frame, frame }
///                                               └── stays until the rest of it arrives
/// ```
///
/// # Limits
///
/// The buffer grows with what has arrived, at most doubling; a length in a header never makes it grow. It holds at most
/// one incomplete frame ([`Limits::max_frame`]) and one read: 64 KiB, or as many bytes as have arrived of that frame.
/// While reads are large enough to reuse them, the decoder also keeps up to three blocks of at most 128 KiB from
/// earlier reads. The buffer is never full: taking frames makes room. A batch that fills less than a quarter of the
/// buffer is copied, so that messages that trickle in do not each keep a buffer alive. Call [`release`](Self::release)
/// when you wait for more bytes; then a connection that is idle between frames holds at most 1 KiB.
pub struct Decoder<F> {
    framing: F,
    limits: Limits,
    buffer: Buffer,
    /// What the last scan found out about the frame at the front of the buffer.
    pending: Pending,
    /// The number of frames in the last batch, as a guess for the next one.
    expected: usize,
    /// The frame over the limit that is being skipped, if any.
    passage: Passage,
    is_unterminated: bool,
    state: State,
}

#[derive(Clone, Copy)]
struct Pending {
    at_least: usize,
    scanned: usize,
}

/// ```text
///   Open ──finish──▶ Finished
///     └───bad bytes──▶ Broken     (sticky: every later call repeats the error)
/// ```
enum State {
    Open,
    Finished,
    Broken(DecodeError),
}

impl<F: Framing> Decoder<F> {
    /// A decoder at the start of a stream.
    pub fn new(framing: F, limits: Limits) -> Self {
        Self {
            framing,
            limits,
            buffer: Buffer::new(&limits),
            pending: Pending { at_least: 1, scanned: 0 },
            expected: 16,
            passage: Passage::default(),
            is_unterminated: false,
            state: State::Open,
        }
    }

    /// Room for the next read, for a reader that fills a [`BufMut`].
    ///
    /// It is never empty. What is written to it counts as arrived.
    pub fn room(&mut self) -> impl BufMut + '_ {
        self.buffer.room(self.pending.at_least)
    }

    /// Lets `read` fill initialised room, for readers that need a slice; `read` returns how many bytes it wrote.
    ///
    /// # Errors
    ///
    /// The error of `read`; then nothing has arrived.
    ///
    /// # Panics
    ///
    /// If `read` claims to have written more than the room that it got.
    pub fn read_with<E>(&mut self, read: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        self.buffer.read_with(self.pending.at_least, read)
    }

    /// Copies bytes in that did not arrive through [`room`](Self::room).
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.feed(bytes);
    }

    /// Releases memory that holds nothing. Call it when you expect no bytes from the connection for now.
    ///
    /// A buffer that holds no bytes is freed if it is larger than 1 KiB. The bytes of an incomplete frame stay; if
    /// there are more than 1 KiB of them, so does the buffer in which they grow.
    pub fn release(&mut self) {
        self.buffer.release();
    }

    /// Takes all complete frames at once, or up to 64 MiB, or a thousand nearly empty ones. `None` means that more
    /// bytes are needed.
    ///
    /// # Errors
    ///
    /// The peer broke the framing. Frames before the broken one have already been returned. The error is final: every
    /// later call returns it again.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, DecodeError> {
        match self.next_found() {
            // A note about frames that were left out before the error comes first. The error stays.
            Err(error) => self.skipped_last().map_or(Err(error), |batch| Ok(Some(batch))),
            found => found,
        }
    }

    #[inline]
    fn next_found(&mut self) -> Result<Option<Batch>, DecodeError> {
        match &self.state {
            State::Open => {}
            State::Finished => return Ok(None),
            State::Broken(error) => return Err(error.clone()),
        }
        self.buffer.adapt(&self.limits);
        if self.buffer.len() < self.pending.at_least {
            return Ok(None);
        }
        // A framing may call a frame too large before any payload has arrived: then there is nothing to shorten.
        if self.passage.is_under_way() && (!self.pass_over()? || self.buffer.is_empty()) {
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
                Begun::Passing if self.pass_over()? && !self.buffer.is_empty() => {}
                Begun::Passing | Begun::Waiting { .. } => return Ok(self.skipped_last()),
            }
        }
    }

    /// Begins to skip the frame at the front, for which the framing returned `error`. An error is final.
    fn begin_passing(&mut self, error: DecodeError) -> Result<Begun, DecodeError> {
        let begun = self.passage.begin(&self.framing, &self.limits, &mut self.buffer, error);
        match &begun {
            Ok(Begun::Waiting { at_least }) => self.pending = Pending { at_least: *at_least, scanned: 0 },
            // The next call skips what follows.
            Ok(Begun::Shortened(_)) => self.pending = Pending { at_least: 0, scanned: 0 },
            Ok(Begun::Passing) => {}
            Err(error) => self.break_off(error),
        }
        begun
    }

    /// Drops what has arrived of the frame that is being skipped. Returns whether that completes it.
    fn pass_over(&mut self) -> Result<bool, DecodeError> {
        let passed = self.passage.pass_over(&self.framing, &mut self.buffer);
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

    fn break_off(&mut self, error: &DecodeError) {
        self.passage.end();
        self.state = State::Broken(error.clone());
    }

    /// The complete frames at the front. If this fails, nothing was taken.
    #[inline]
    fn take_frames(&mut self) -> Result<Option<Batch>, DecodeError> {
        let mut index = Index::expecting(self.expected.min(self.buffer.len()));
        let mut taken: usize = 0;
        let mut scanned = self.pending.scanned;
        let mut last: usize = 0;
        self.pending = loop {
            let rest = self.buffer.unread().get(taken..).unwrap_or_default();
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
                // The frames before the broken one are returned first; the next call finds the error again.
                Err(_) if index.len() > 0 => break Pending { at_least: 1, scanned: 0 },
                Err(error) => {
                    // The bytes between frames belong to none, however they arrived: a split drops them, so an error does.
                    let padding = self.framing.padding(rest).min(rest.len());
                    self.buffer.drop_front(padding);
                    return Err(error);
                }
            }
        };
        if index.len() == 0 {
            self.buffer.drop_front(taken);
            return Ok(None);
        }
        self.expected = index.len();
        let block = self.buffer.take_front(taken, last);
        Ok(Some(Batch::of(index, block)))
    }

    /// A batch without frames, if frames were left out that no batch has reported yet.
    fn skipped_last(&mut self) -> Option<Batch> {
        match self.passage.take_skipped() {
            0 => None,
            skipped => Some(Batch::default().behind(skipped)),
        }
    }

    /// Tells the decoder that the stream ended normally, and takes a last frame that needs no terminator, if there is
    /// one.
    ///
    /// Complete frames that you have not taken with [`next_batch`](Self::next_batch) come first, so call this until it
    /// returns `None`. If an incomplete frame remains, [`truncated_len`](Self::truncated_len) is its length.
    ///
    /// # Errors
    ///
    /// See [`next_batch`](Self::next_batch).
    pub fn finish(&mut self) -> Result<Option<Batch>, DecodeError> {
        match &self.state {
            State::Open => {}
            State::Finished => return Ok(None),
            State::Broken(error) => return Err(error.clone()),
        }
        // The end decides what the rest is, but only for bytes that a scan could not decide about.
        if let Some(batch) = self.next_batch()? {
            return Ok(Some(batch));
        }
        if self.passage.end() {
            // These bytes were counted as left out, or their beginning was returned.
            self.buffer.clear();
            self.state = State::Finished;
            return Ok(None);
        }
        match self.framing.at_eof(self.buffer.unread(), self.limits.max_frame()) {
            Ok(Scan::Frame { payload, end }) => {
                self.end_unterminated();
                let mut index = Index::expecting(1);
                index.push(payload.start, payload.end);
                let block = self.buffer.take_front(end, end);
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
                    self.buffer.clear();
                    Ok(Some(batch))
                }
                Begun::Passing => {
                    self.state = State::Finished;
                    self.passage.end();
                    self.buffer.clear();
                    Ok(self.skipped_last())
                }
                Begun::Waiting { .. } => {
                    self.state = State::Finished;
                    Ok(None)
                }
            },
        }
    }

    /// Like [`finish`](Self::finish), for a stream that has not ended but that you stop reading. A rest that becomes a
    /// frame at a normal end becomes one here, too, because the peer may have written no more. The exception is a
    /// framing with frames that [end only with the stream](Framing::ends_at_eof): that end has not come.
    ///
    /// # Errors
    ///
    /// See [`next_batch`](Self::next_batch).
    pub fn finish_early(&mut self) -> Result<Option<Batch>, DecodeError> {
        if self.framing.ends_at_eof() { self.next_batch() } else { self.finish() }
    }

    fn end_unterminated(&mut self) {
        self.state = State::Finished;
        self.is_unterminated = !self.framing.ends_at_eof();
    }

    /// Whether the end of the stream, and not a terminator, ended the last frame. The frame may be the beginning of a
    /// longer one, if its sender was interrupted.
    #[must_use]
    pub const fn is_unterminated(&self) -> bool {
        self.is_unterminated
    }

    /// The bytes that belong to no complete frame. If nothing follows, they are truncated.
    #[must_use]
    pub fn truncated_len(&self) -> usize {
        self.buffer.len()
    }

    /// The memory of its buffers in bytes, including that of frames which share a block with them.
    #[must_use]
    pub fn memory_len(&self) -> usize {
        self.buffer.memory_len()
    }

    /// Checks whether the stream may end here.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if the end would truncate a frame.
    pub fn check_end(&self) -> Result<(), DecodeError> {
        match self.truncated_len() {
            0 => Ok(()),
            have => Err(DecodeError::Truncated { have, at_least: self.pending.at_least }),
        }
    }

    /// The limits of this decoder.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl<F: fmt::Debug> fmt::Debug for Decoder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("framing", &self.framing).field("unread", &self.buffer.len()).finish()
    }
}
