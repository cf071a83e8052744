//! Frames over `std::io`: a reader and a writer for threads that may block.

use std::{
    fmt,
    io::{self, IoSlice, Read, Write},
};

use crate::{Batch, Decoder, Encoder, Framing, Limits};

/// When a writer has at least this many bytes queued, it writes before it queues more.
const HIGH_WATER: usize = 64 << 10;

/// Entries of one vectored write.
const SLICES: usize = 64;

/// Reads frames from any [`Read`].
///
/// ```
/// use frame_codec::{Delimited, FrameReader, Limits};
///
/// let mut lines = FrameReader::new(&b"one\ntwo\n"[..], Delimited::lines(), Limits::default());
/// while let Some(line) = lines.next_frame()? {
///     println!("{}", line.escape_ascii());
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// All methods that read return one of two kinds of errors. An error of the reader is not final: you may read again
/// after `WouldBlock` or `TimedOut`, and nothing is lost (`Interrupted` is retried for you). A crate
/// [`Error`](crate::Error) inside an [`io::Error`] is final and comes after all complete frames: the peer broke the
/// framing, or the stream ended inside a frame ([`Error::Truncated`](crate::Error::Truncated), with byte counts).
pub struct FrameReader<R, F> {
    reader: R,
    decoder: Decoder<F>,
    /// [`next_frame`](Self::next_frame) returns the frames of this batch one by one.
    current: Batch,
    given: usize,
    ended: bool,
}

impl<R: Read, F: Framing> FrameReader<R, F> {
    /// A reader at the start of a stream.
    pub fn new(reader: R, framing: F, limits: Limits) -> Self {
        Self { reader, decoder: Decoder::new(framing, limits), current: Batch::default(), given: 0, ended: false }
    }

    /// The frames of one read; `None` at the end of the stream.
    ///
    /// Frames that [`next_frame`](Self::next_frame) has not returned yet come first.
    ///
    /// # Errors
    ///
    /// See [the type](Self#errors).
    pub fn next_batch(&mut self) -> io::Result<Option<Batch>> {
        if self.given < self.current.len() {
            let given = std::mem::take(&mut self.given);
            return Ok(Some(std::mem::take(&mut self.current).without_first(given)));
        }
        loop {
            if let Some(batch) = self.decoder.next_batch()? {
                return Ok(Some(batch));
            }
            if self.ended {
                self.decoder.check_end()?;
                return Ok(None);
            }
            match self.decoder.read_with(|room| self.reader.read(room)) {
                Ok(0) => {
                    self.ended = true;
                    if let Some(last) = self.decoder.finish()? {
                        return Ok(Some(last));
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next frame; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// See [the type](Self#errors).
    pub fn next_frame(&mut self) -> io::Result<Option<&[u8]>> {
        if self.given >= self.current.len() {
            self.given = 0;
            self.current = Batch::default();
            let Some(batch) = self.next_batch()? else { return Ok(None) };
            self.current = batch;
        }
        self.given += 1;
        Ok(self.current.get(self.given - 1))
    }

    /// The stream, for queries. Do not read from it: that would break frames.
    pub const fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The stream, the frames that [`next_frame`](Self::next_frame) has not returned yet, and the decoder with the
    /// bytes behind them.
    pub fn into_parts(self) -> (R, Batch, Decoder<F>) {
        (self.reader, self.current.without_first(self.given), self.decoder)
    }
}

impl<R: fmt::Debug, F: fmt::Debug> fmt::Debug for FrameReader<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader")
            .field("reader", &self.reader)
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}

/// Writes frames to any [`Write`].
///
/// [`push`](Self::push) queues frames, and writes when at least 64 KiB are queued; [`flush`](Self::flush) writes all of
/// them. The writer keeps the offset within a frame, so a write that took only a part continues where it stopped.
/// Dropping the writer drops what is pending.
///
/// ```
/// use frame_codec::{FrameWriter, Limits, Netstring};
///
/// let mut writer = FrameWriter::new(Vec::new(), Netstring, Limits::default());
/// writer.push(b"hello")?;
/// writer.push(b"world")?;
/// writer.flush()?;
/// assert_eq!(writer.get_ref(), b"5:hello,5:world,");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct FrameWriter<W, F> {
    writer: W,
    encoder: Encoder<F>,
}

impl<W: Write, F: Framing> FrameWriter<W, F> {
    /// A writer at the start of a stream.
    pub fn new(writer: W, framing: F, limits: Limits) -> Self {
        Self { writer, encoder: Encoder::new(framing, limits) }
    }

    /// Queues a frame. If at least 64 KiB are queued already, writes those first.
    ///
    /// # Errors
    ///
    /// An error of the writer, including `WouldBlock`; or a payload that cannot be sent ([`Error`](crate::Error) inside
    /// an [`io::Error`] of kind `InvalidInput`). In both cases this payload is not queued, and everything before it
    /// still is.
    pub fn push(&mut self, payload: &[u8]) -> io::Result<()> {
        if self.encoder.pending_bytes() >= HIGH_WATER {
            self.write_pending()?;
        }
        Ok(self.encoder.push(payload)?)
    }

    /// Writes everything that is queued and flushes the writer.
    ///
    /// # Errors
    ///
    /// An error of the writer; `WriteZero` if it takes nothing. Call again to continue (after `WouldBlock`, when the
    /// writer can take more). Nothing is lost or written twice.
    pub fn flush(&mut self) -> io::Result<()> {
        self.write_pending()?;
        self.writer.flush()
    }

    fn write_pending(&mut self) -> io::Result<()> {
        while self.encoder.has_pending() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = self.encoder.io_slices(&mut slices);
            match self.writer.write_vectored(slices.get(..used).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.encoder.consume(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Bytes that are queued and not written.
    pub const fn pending_bytes(&self) -> usize {
        self.encoder.pending_bytes()
    }

    /// The stream, for queries. Do not write to it: that would break frames.
    pub const fn get_ref(&self) -> &W {
        &self.writer
    }

    /// The stream and the frames that were not written; [`Encoder::take_unsent`] returns these.
    pub fn into_parts(self) -> (W, Encoder<F>) {
        (self.writer, self.encoder)
    }
}

impl<W: fmt::Debug, F: fmt::Debug> fmt::Debug for FrameWriter<W, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriter").field("writer", &self.writer).field("encoder", &self.encoder).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::{Delimited, Error, LengthPrefixed};

    /// A stream that follows a script in both directions.
    #[derive(Debug, Default)]
    struct Scripted {
        reads: VecDeque<Result<&'static [u8], io::ErrorKind>>,
        /// How many bytes each write takes.
        writes: VecDeque<Result<usize, io::ErrorKind>>,
        written: Vec<u8>,
    }

    impl Read for Scripted {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let bytes = self.reads.pop_front().unwrap_or(Ok(b""))?;
            room[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.writes.pop_front().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            self.written.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn reading(reads: &[Result<&'static [u8], io::ErrorKind>]) -> FrameReader<Scripted, Delimited> {
        let stream = Scripted { reads: reads.iter().copied().collect(), ..Scripted::default() };
        FrameReader::new(stream, Delimited::lines(), Limits::default().with_max_frame(16))
    }

    #[test]
    fn an_interrupted_read_is_tried_again_and_one_that_would_block_loses_nothing() {
        let mut lines = reading(&[
            Ok(b"on"),
            Err(io::ErrorKind::Interrupted),
            Ok(b"e\ntw"),
            Err(io::ErrorKind::WouldBlock),
            Ok(b"o\nthree"),
        ]);
        assert_eq!(lines.next_frame().unwrap(), Some(&b"one"[..]));
        assert_eq!(lines.next_frame().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(lines.next_frame().unwrap(), Some(&b"two"[..]));
        assert_eq!(lines.next_frame().unwrap(), Some(&b"three"[..]));
        assert_eq!(lines.next_frame().unwrap(), None);
        assert!(lines.next_batch().unwrap().is_none());
    }

    #[test]
    fn frames_begun_one_by_one_go_on_as_a_batch() {
        let mut lines = reading(&[Ok(b"a\nbc\n\nd\n")]);
        assert_eq!(lines.next_frame().unwrap(), Some(&b"a"[..]));
        let rest = lines.next_batch().unwrap().unwrap();
        assert_eq!((rest.iter().collect::<Vec<_>>(), rest.byte_len()), (vec![&b"bc"[..], b"", b"d"], 3));
        assert_eq!(lines.next_frame().unwrap(), None);
    }

    #[test]
    fn an_end_inside_a_frame_is_an_error_with_byte_counts_and_stays_one() {
        let wire = &b"\0\0\0\x01a\0\0\0\x05ab"[..];
        let mut frames = FrameReader::new(wire, LengthPrefixed::u32_be(), Limits::default());
        assert_eq!(frames.next_frame().unwrap(), Some(&b"a"[..]));
        for _ in 0..2 {
            let error = frames.next_frame().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            assert_eq!(error.to_string(), Error::Truncated { have: 6, at_least: 9 }.to_string());
        }
    }

    #[test]
    fn bad_bytes_come_after_good_frames_and_stay() {
        let mut lines = reading(&[Ok(b"good\n"), Ok(b"seventeen bytes!!")]);
        assert_eq!(lines.next_frame().unwrap(), Some(&b"good"[..]));
        for _ in 0..2 {
            assert_eq!(lines.next_batch().unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_partial_write_continues_where_it_stopped() {
        use io::ErrorKind::{Interrupted, WouldBlock};
        let stream =
            Scripted { writes: [Ok(2), Err(Interrupted), Ok(1), Err(WouldBlock)].into(), ..Scripted::default() };
        let mut lines = FrameWriter::new(stream, Delimited::lines(), Limits::default());
        lines.push(b"one").unwrap();
        lines.push(b"two").unwrap();
        assert_eq!(lines.push(b"a\nb").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(lines.flush().unwrap_err().kind(), WouldBlock);
        assert_eq!((lines.get_ref().written.as_slice(), lines.pending_bytes()), (&b"one"[..], 5));
        lines.flush().unwrap();
        assert_eq!(lines.get_ref().written, b"one\ntwo\n");
    }

    #[test]
    fn a_frame_that_would_wait_behind_too_much_is_not_queued() {
        let stream = Scripted { writes: [Err(io::ErrorKind::WouldBlock), Ok(0)].into(), ..Scripted::default() };
        let mut frames = FrameWriter::new(stream, LengthPrefixed::u32_be(), Limits::default());
        frames.push(&[0; HIGH_WATER]).unwrap();
        assert_eq!(frames.push(b"later").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(frames.push(b"later").unwrap_err().kind(), io::ErrorKind::WriteZero);
        let (_, mut encoder) = frames.into_parts();
        assert_eq!((encoder.pending_frames(), encoder.take_unsent().0.len()), (1, 1));
    }
}
