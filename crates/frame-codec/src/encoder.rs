//! Frames in, bytes out: the sending buffer of one stream, and the only place where its write offset lives.

use std::{collections::VecDeque, fmt, io::IoSlice};

use bytes::{Buf, Bytes, BytesMut};

use crate::{Batch, EncodeError, Framing, Head, Limits, Scan, batch::Index};

mod lengths;
mod slab;

use lengths::Lengths;
use slab::Slab;

/// An idle connection keeps at most this many bytes each in the slab and the queues.
const KEEP: usize = 256;

/// Queues frames for one stream.
///
/// Small payloads are copied into one slab; large shared ones stay where they are. [`io_slices`](Self::io_slices)
/// exposes everything that is queued for one vectored write. Call [`consume`](Self::consume) with the number of bytes
/// that the write took, however few.
///
/// ```
/// use frame_codec::{Encoder, LengthPrefixed, Limits};
///
/// let mut encoder = Encoder::new(LengthPrefixed::u32_be(), Limits::default());
/// encoder.push(b"hi")?;
/// let mut written = Vec::new();
/// while encoder.has_pending() {
///     let piece = encoder.chunk()[0]; // a write that takes one byte at a time
///     written.push(piece);
///     encoder.consume(1);
/// }
/// assert_eq!(written, b"\0\0\0\x02hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Limits
///
/// It rejects payloads over [`Limits::max_frame`] but does not limit the number of frames: check
/// [`pending_bytes`](Self::pending_bytes) before you push. When you have nothing more to send, call
/// [`release`](Self::release); then it holds less than 1 KiB.
pub struct Encoder<F> {
    framing: F,
    limits: Limits,
    /// What is written before the slab: sealed slabs and shared payloads.
    sealed: VecDeque<Bytes>,
    slab: Slab,
    pending_bytes: usize,
    /// Wire lengths of the frames that are not completely written yet, oldest first.
    lengths: Lengths,
    /// How many bytes of the oldest frame are written.
    frame_written: usize,
    written: Written,
}

/// What has been consumed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Frames that were consumed to the last byte.
    pub frames: u64,
    /// Bytes consumed, framing included.
    pub bytes: u64,
}

impl<F> Encoder<F> {
    /// A [shared](Self::push_shared) payload of at least this many bytes is written from where it is. A smaller one is
    /// cheaper to copy than to give its own entry in the system call.
    ///
    /// Measured over a socket pair (`cargo bench -p frame-codec -- share`, nanoseconds per message when copied and as
    /// an iovec): 512 B 140 and 220–260, 1 KiB 230 and 340, 2 to 4 KiB equal within noise, 8 KiB 1900–2100 and
    /// 1600–1700.
    pub const SHARE_FROM: usize = 4 << 10;
}

impl<F: Framing> Encoder<F> {
    /// An encoder at the start of a stream.
    pub fn new(framing: F, limits: Limits) -> Self {
        Self {
            framing,
            limits,
            sealed: VecDeque::new(),
            slab: Slab::default(),
            pending_bytes: 0,
            lengths: Lengths::default(),
            frame_written: 0,
            written: Written::default(),
        }
    }

    /// Queues a frame by copying its payload.
    ///
    /// # Errors
    ///
    /// [`EncodeError::PayloadTooLarge`] or [`EncodeError::DelimiterInPayload`]; nothing is queued.
    // Inlined: a call that returns its result in memory would take half as long as encoding a small frame.
    #[inline(always)]
    pub fn push(&mut self, payload: &[u8]) -> Result<(), EncodeError> {
        self.check_len(payload.len())?;
        let envelope = self.framing.envelope(payload)?;
        let len = self.slab.put(&envelope.head, payload, envelope.tail);
        self.note(len);
        Ok(())
    }

    /// Queues a frame. If the payload is large, it is written from where it is, without a copy.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push); nothing is queued.
    pub fn push_shared(&mut self, payload: Bytes) -> Result<(), EncodeError> {
        if payload.len() < Self::SHARE_FROM {
            return self.push(&payload);
        }
        self.check_len(payload.len())?;
        let envelope = self.framing.envelope(&payload)?;
        let head = self.slab.put(&envelope.head, &[], &[]);
        let before = self.slab.seal();
        if !before.is_empty() {
            self.sealed.push_back(before);
        }
        let len = head + payload.len() + envelope.tail.len();
        self.sealed.push_back(payload);
        if !envelope.tail.is_empty() {
            self.slab.put(&Head::EMPTY, envelope.tail, &[]);
        }
        self.note(len);
        Ok(())
    }

    #[inline]
    const fn check_len(&self, len: usize) -> Result<(), EncodeError> {
        let max = self.limits.max_frame();
        if len > max { Err(EncodeError::PayloadTooLarge { len, max }) } else { Ok(()) }
    }

    #[inline]
    fn note(&mut self, len: usize) {
        if len == 0 {
            // There is nothing to write: an empty payload in a framing without a header.
            self.written.frames += 1;
            return;
        }
        self.pending_bytes += len;
        self.lengths.push(u32::try_from(len).expect("a frame is at most 1 GiB and its envelope"));
    }

    /// Takes back everything that is not written: the frames of which no byte was written, and how many bytes are
    /// missing of a frame that was written in part (0 if there is none).
    ///
    /// Call it at the end of a connection. The encoder is empty afterwards.
    ///
    /// # Panics
    ///
    /// If 4 GiB or more are pending.
    pub fn take_unsent(&mut self) -> (Batch, usize) {
        let mut bytes = BytesMut::with_capacity(self.pending_bytes);
        while self.has_pending() {
            let chunk = self.chunk();
            let len = chunk.len();
            bytes.extend_from_slice(chunk);
            self.forget(len);
        }
        let mut at = 0;
        let mut truncated = 0;
        if self.frame_written > 0
            && let Some(len) = self.lengths.pop()
        {
            truncated = len - self.frame_written;
            at = truncated;
        }
        self.frame_written = 0;
        let mut index = Index::expecting(self.lengths.len());
        while let Some(len) = self.lengths.pop() {
            let frame = &bytes[at..at + len];
            let found = match self.framing.scan(frame, 0, self.limits.max_frame()) {
                Ok(Scan::More { .. }) => self.framing.at_eof(frame, self.limits.max_frame()),
                found => found,
            };
            match found {
                Ok(Scan::Frame { payload, .. }) => index.push(at + payload.start, at + payload.end),
                // The framing cannot read back what it wrote: return the raw bytes rather than lose them.
                _ => index.push(at, at + len),
            }
            at += len;
        }
        (Batch::of(index, bytes.freeze()), truncated)
    }
}

impl<F> Encoder<F> {
    /// Releases memory that holds nothing. Call it when you send nothing for now; while anything is pending, it has no
    /// effect.
    pub fn release(&mut self) {
        if self.pending_bytes > 0 {
            return;
        }
        self.slab.release(KEEP);
        self.sealed.shrink_to(KEEP / size_of::<Bytes>());
        self.lengths.shrink_to(KEEP);
    }

    /// The memory of its buffers in bytes, without shared payloads.
    #[must_use]
    pub fn memory_len(&self) -> usize {
        self.slab.memory_len() + self.sealed.capacity() * size_of::<Bytes>() + self.lengths.memory_len()
    }

    /// Whether anything waits to be written.
    #[must_use]
    #[inline]
    pub const fn has_pending(&self) -> bool {
        self.pending_bytes > 0
    }

    /// Bytes that wait to be written, framing included.
    #[must_use]
    #[inline]
    pub const fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Frames that are not completely written.
    #[must_use]
    pub fn pending_frames(&self) -> usize {
        self.lengths.len()
    }

    /// What was consumed since the start.
    #[must_use]
    pub const fn written(&self) -> Written {
        self.written
    }

    /// The bytes to write next, for a writer that takes one slice at a time. Empty only if nothing is pending.
    #[must_use]
    pub fn chunk(&self) -> &[u8] {
        match self.sealed.front() {
            Some(bytes) => bytes,
            None => self.slab.bytes(),
        }
    }

    /// Puts the pending bytes into `slices`, in order, for one vectored write; returns how many entries of `slices` are
    /// used.
    ///
    /// The kernel takes at most 1024 entries (`IOV_MAX`, `sysconf(3)`).
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let slab = self.slab.bytes();
        let chunks = self.sealed.iter().map(|bytes| &**bytes).chain((!slab.is_empty()).then_some(slab));
        let mut used = 0;
        for (slice, chunk) in slices.iter_mut().zip(chunks) {
            *slice = IoSlice::new(chunk);
            used += 1;
        }
        used
    }

    /// Removes `count` bytes that were written.
    ///
    /// # Panics
    ///
    /// If `count` is more than [`pending_bytes`](Self::pending_bytes).
    pub fn consume(&mut self, count: usize) {
        self.forget(count);
        self.written.bytes += count as u64;
        let (frames, rest) = self.lengths.pop_within(self.frame_written + count);
        self.written.frames += frames;
        self.frame_written = rest;
    }

    /// Drops `count` bytes from the front of the buffers.
    fn forget(&mut self, count: usize) {
        assert!(count <= self.pending_bytes, "{count} bytes consumed of {} pending", self.pending_bytes);
        self.pending_bytes -= count;
        let mut left = count;
        while let Some(front) = self.sealed.front_mut() {
            if left < front.len() {
                front.advance(left);
                return;
            }
            left -= front.len();
            self.sealed.pop_front();
        }
        self.slab.consume(left);
    }
}

impl<F: fmt::Debug> fmt::Debug for Encoder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("framing", &self.framing)
            .field("pending_bytes", &self.pending_bytes)
            .field("written", &self.written)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Delimited, LengthPrefixed, Raw};

    fn drain(encoder: &mut Encoder<impl Framing>, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while encoder.has_pending() {
            let mut slices = [IoSlice::new(&[]); 4];
            let used = encoder.io_slices(&mut slices);
            let bytes: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).take(step).collect();
            out.extend_from_slice(&bytes);
            encoder.consume(bytes.len());
        }
        out
    }

    #[test]
    fn shared_and_copied_payloads_keep_their_order_however_little_each_write_takes() {
        for step in [1, 3, 4096, 5000, usize::MAX] {
            let mut encoder = Encoder::new(LengthPrefixed::u32_be(), Limits::default());
            let large = Bytes::from(vec![7; 5000]);
            encoder.push(b"a").unwrap();
            encoder.push_shared(large.clone()).unwrap();
            encoder.push_shared(large.clone()).unwrap();
            encoder.push(b"z").unwrap();
            let out = drain(&mut encoder, step);
            let mut expected = b"\0\0\0\x01a".to_vec();
            for _ in 0..2 {
                expected.extend_from_slice(&5000_u32.to_be_bytes());
                expected.extend_from_slice(&large);
            }
            expected.extend_from_slice(b"\0\0\0\x01z");
            assert!(out == expected, "step {step}");
            assert_eq!(encoder.written(), Written { frames: 4, bytes: expected.len() as u64 });
        }
    }

    #[test]
    fn a_slab_whose_front_was_sealed_is_given_back_whole() {
        let mut encoder = Encoder::new(Raw, Limits::default());
        encoder.push(&[1; 50_000]).unwrap();
        encoder.push_shared(Bytes::from(vec![2; 5000])).unwrap();
        let pending = encoder.pending_bytes();
        encoder.consume(pending);
        assert!(encoder.memory_len() >= 50_000, "{} bytes are known of", encoder.memory_len());
        encoder.release();
        assert!(encoder.memory_len() < 1 << 10 && encoder.slab.memory_len() == 0);
    }

    #[test]
    fn what_was_not_written_is_taken_back_frame_by_frame() {
        let mut encoder = Encoder::new(Delimited::lines(), Limits::default());
        for line in ["one", "two", "three"] {
            encoder.push(line.as_bytes()).unwrap();
        }
        encoder.consume(6); // "one\n" and half of "two\n"
        let (unsent, truncated) = encoder.take_unsent();
        assert_eq!((unsent.iter().collect::<Vec<_>>(), truncated), (vec![&b"three"[..]], 2));
        assert_eq!((encoder.has_pending(), encoder.written().frames), (false, 1));
    }

    #[test]
    fn a_slab_that_is_never_quite_empty_stays_as_large_as_what_waits() {
        let mut encoder = Encoder::new(Delimited::lines(), Limits::default());
        encoder.push(&[b'x'; 999]).unwrap();
        for _ in 0..10_000 {
            encoder.push(&[b'x'; 999]).unwrap();
            encoder.consume(1000);
        }
        assert_eq!(encoder.pending_bytes(), 1000);
        assert!(encoder.slab.memory_len() < 16 << 10, "{} bytes for 1000", encoder.slab.memory_len());
    }

    #[test]
    fn raw_payloads_are_taken_back_as_they_were_handed_in() {
        let mut encoder = Encoder::new(Raw, Limits::default());
        encoder.push(b"one").unwrap();
        encoder.push_shared(Bytes::from(vec![1; 5000])).unwrap();
        let (unsent, truncated) = encoder.take_unsent();
        assert_eq!((unsent.len(), unsent.get(0), truncated), (2, Some(&b"one"[..]), 0));
    }

    #[test]
    fn an_idle_encoder_holds_next_to_nothing() {
        let mut encoder = Encoder::new(LengthPrefixed::u32_be(), Limits::default());
        for _ in 0..1000 {
            encoder.push(b"small").unwrap();
            encoder.push_shared(Bytes::from(vec![0; 8192])).unwrap();
        }
        encoder.consume(1);
        encoder.release();
        let out = drain(&mut encoder, usize::MAX);
        assert_eq!(out.len(), 1000 * (4 + 5 + 4 + 8192) - 1);
        assert!(encoder.memory_len() > 1024);
        encoder.release();
        assert!(encoder.memory_len() <= 1024, "{} bytes", encoder.memory_len());
        encoder.push(b"again").unwrap();
        assert_eq!(encoder.chunk(), b"\0\0\0\x05again");
    }

    #[test]
    fn a_rejected_payload_leaves_nothing_behind() {
        let mut encoder = Encoder::new(Delimited::lines(), Limits::default().with_max_frame(4));
        assert_eq!(encoder.push(b"a\nb"), Err(EncodeError::DelimiterInPayload { at: 1 }));
        assert_eq!(encoder.push(b"abcde"), Err(EncodeError::PayloadTooLarge { len: 5, max: 4 }));
        assert_eq!((encoder.pending_bytes(), encoder.pending_frames(), encoder.chunk()), (0, 0, &b""[..]));
    }
}
