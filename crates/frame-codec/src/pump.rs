//! The one loop that reads while it writes.

use std::{
    fmt,
    future::poll_fn,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use crate::{Batch, Decoder, Encoder, Framing, Limits};

mod event;

pub use event::{End, Intake, PumpEvent};

/// Entries of one vectored write. More gain nothing: large payloads are at least 4 KiB each.
const SLICES: usize = 64;

/// Bytes that one call reads without completing a frame before it returns to the caller.
const BUDGET: usize = 256 << 10;

/// Moves frames in both directions over one stream, and never stops reading because it cannot write.
///
/// A loop that awaits a write before it reads again blocks forever if its peer does the same. One call of this pump
/// does whatever the stream allows in either direction. Everything that is half done (offsets, partial frames) is in
/// the pump, not in a future, so you may drop any future at any time.
///
/// ```
/// use frame_codec::{Delimited, Limits, Pump, PumpEvent, End};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (here, there) = tokio::io::duplex(64);
/// let mut left = Pump::new(here, Delimited::lines(), Limits::default());
/// let mut right = Pump::new(there, Delimited::lines(), Limits::default());
///
/// left.encoder().push(b"hello")?;
/// left.finish(); // half-close once everything is written
/// while !matches!(left.next().await, PumpEvent::Finished) {}
///
/// let PumpEvent::Batch(batch) = right.next().await else { panic!("a line was sent") };
/// assert_eq!(batch.get(0), Some(&b"hello"[..]));
/// assert!(matches!(right.next().await, PumpEvent::End(End::Eof { truncated: 0 })));
/// # Ok(())
/// # }
/// ```
///
/// # Limits
///
/// Reading is bounded by the [`Decoder`]'s limits and by your calls: each call reads until frames are complete, or 256
/// KiB. What you do not take stays in the kernel and holds the peer back. You must bound what you push to
/// [`encoder`](Self::encoder) yourself.
pub struct Pump<S, F> {
    stream: S,
    decoder: Decoder<F>,
    encoder: Encoder<F>,
    reading: Reading,
    writing: Writing,
    /// An event of the writing side that was not returned yet.
    news: Option<PumpEvent>,
    /// Whether the last event was one of the writing side, so that the reading side is next.
    told_of_writing: bool,
    bytes_read: u64,
}

/// ```text
///   Open ──EOF──▶ Ending ──frames given──▶ Ended
///     └─────reset, bad bytes──────────────▶ Ended
/// ```
enum Reading {
    Open,
    Ending,
    Ended,
}

/// ```text
///   Idle ◀──────────────┐
///     └──push──▶ Busy ──┘ drained
///   either ──finish──▶ Finishing ──drained, flushed, shut down──▶ Closed
///   any ──write error──▶ Closed
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Idle,
    Busy,
    Finishing,
    Closed,
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: Framing + Clone> Pump<S, F> {
    /// A pump over a stream that is open in both directions.
    pub fn new(stream: S, framing: F, limits: Limits) -> Self {
        Self {
            stream,
            decoder: Decoder::new(framing.clone(), limits),
            encoder: Encoder::new(framing, limits),
            reading: Reading::Open,
            writing: Writing::Idle,
            news: None,
            told_of_writing: false,
            bytes_read: 0,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: Framing> Pump<S, F> {
    /// Waits for the next event.
    ///
    /// After [`PumpEvent::End`] it waits only for the writing side; when both sides have ended it never returns.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: whatever was read, written or counted is kept for the next call.
    pub async fn next(&mut self) -> PumpEvent {
        poll_fn(|cx| self.poll_next(cx, Intake::Open)).await
    }

    /// Writes what the stream takes, reads if `intake` allows it, and returns the first event.
    ///
    /// Poll until it returns `Pending`; only then is the task woken when the stream can continue. If you push frames
    /// later, poll again. While both directions have events, they alternate.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, intake: Intake) -> Poll<PumpEvent> {
        self.drive_writing(cx);
        if !self.told_of_writing
            && let Some(event) = self.news.take()
        {
            self.told_of_writing = true;
            return Poll::Ready(event);
        }
        self.told_of_writing = false;
        if intake == Intake::Open
            && let Poll::Ready(event) = self.poll_reading(cx)
        {
            return Poll::Ready(event);
        }
        if let Some(event) = self.news.take() {
            return Poll::Ready(event);
        }
        Poll::Pending
    }

    fn drive_writing(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(Err(error)) = self.poll_writing(cx) {
            self.writing = Writing::Closed;
            self.news = Some(PumpEvent::WriteFailed(error));
        }
    }

    fn poll_writing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.writing == Writing::Idle && self.encoder.has_pending() {
            self.writing = Writing::Busy;
            // An event about earlier frames would seem to be about these.
            self.news = None;
        }
        if matches!(self.writing, Writing::Idle | Writing::Closed) {
            return Poll::Ready(Ok(()));
        }
        let mut stream = Pin::new(&mut self.stream);
        while self.encoder.has_pending() {
            let outcome = if stream.is_write_vectored() {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let used = self.encoder.io_slices(&mut slices);
                stream.as_mut().poll_write_vectored(cx, slices.get(..used).unwrap_or_default())
            } else {
                stream.as_mut().poll_write(cx, self.encoder.chunk())
            };
            match ready!(outcome) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => self.encoder.consume(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        ready!(stream.as_mut().poll_flush(cx))?;
        if self.writing == Writing::Busy {
            self.writing = Writing::Idle;
            self.news = Some(PumpEvent::Drained);
        } else {
            ready!(stream.poll_shutdown(cx))?;
            self.writing = Writing::Closed;
            self.news = Some(PumpEvent::Finished);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_reading(&mut self, cx: &mut Context<'_>) -> Poll<PumpEvent> {
        let mut arrived: usize = 0;
        loop {
            match self.reading {
                Reading::Ended => return Poll::Pending,
                Reading::Ending => return Poll::Ready(self.end(|truncated| End::Eof { truncated })),
                Reading::Open => {}
            }
            match self.decoder.next_batch() {
                Ok(Some(batch)) => return Poll::Ready(PumpEvent::Batch(batch)),
                Ok(None) if arrived >= BUDGET => return Poll::Ready(PumpEvent::Partial),
                Ok(None) => {}
                Err(error) => return Poll::Ready(self.end(|truncated| End::Malformed { error, truncated })),
            }
            let outcome = {
                let mut room = self.decoder.room();
                let read = pin!(self.stream.read_buf(&mut room));
                ready!(read.poll(cx))
            };
            match outcome {
                Ok(0) => {
                    self.reading = Reading::Ending;
                    match self.decoder.finish() {
                        Ok(Some(batch)) => return Poll::Ready(PumpEvent::Batch(batch)),
                        Ok(None) => {}
                        Err(error) => {
                            return Poll::Ready(self.end(|truncated| End::Malformed { error, truncated }));
                        }
                    }
                }
                Ok(count) => {
                    arrived += count;
                    self.bytes_read += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(self.end(|truncated| End::Failed { error, truncated })),
            }
        }
    }

    fn end(&mut self, how: impl FnOnce(usize) -> End) -> PumpEvent {
        self.reading = Reading::Ended;
        PumpEvent::End(how(self.decoder.truncated_len()))
    }

    /// Closes our direction (`shutdown(2)`) once everything that was pushed is written; [`PumpEvent::Finished`] follows.
    ///
    /// Do not push after this call: such frames are written only if the direction is not closed yet.
    pub fn finish(&mut self) {
        if self.writing != Writing::Closed {
            self.writing = Writing::Finishing;
        }
    }
}

impl<S, F: Framing> Pump<S, F> {
    /// Frames that have arrived and were not returned yet, without reading more. Call it until it returns `None` if you
    /// end before the stream does.
    pub fn take_received(&mut self) -> Option<Batch> {
        // `truncated_len` still counts bytes that are not frames.
        self.decoder.next_batch().ok().flatten()
    }

    /// The rest that a normal end would turn into a frame, for a stream that has not ended but that you stop reading.
    /// Call [`take_received`](Self::take_received) first. `None` when there are no more. See [`Decoder::finish_early`].
    pub fn take_unterminated(&mut self) -> Option<Batch> {
        self.decoder.finish_early().ok().flatten()
    }

    /// Whether the end of the stream, and not a terminator, ended the last frame: [`Decoder::is_unterminated`].
    #[must_use]
    pub const fn is_unterminated(&self) -> bool {
        self.decoder.is_unterminated()
    }

    /// Releases memory that holds nothing, so that many idle connections do not hold a buffer each.
    ///
    /// Call it when nothing has moved on the connection for a while: the next byte allocates the buffer again.
    pub fn release(&mut self) {
        self.decoder.release();
        self.encoder.release();
    }

    /// The memory of its buffers in bytes; less than 2 KiB after [`release`](Self::release) if nothing is half done.
    #[must_use]
    pub fn memory_len(&self) -> usize {
        self.decoder.memory_len() + self.encoder.memory_len()
    }

    /// Bytes received of an incomplete frame.
    #[must_use]
    pub fn truncated_len(&self) -> usize {
        self.decoder.truncated_len()
    }
}

impl<S, F> Pump<S, F> {
    /// The sending buffer: push frames to it, then poll.
    pub const fn encoder(&mut self) -> &mut Encoder<F> {
        &mut self.encoder
    }

    /// Stops writing: frames that are pushed and not written stay in the encoder, and you can take them back.
    pub const fn close_writing(&mut self) {
        self.writing = Writing::Closed;
    }

    /// Whether our direction is closed: by [`finish`](Self::finish) or by a failed write.
    #[must_use]
    pub fn is_write_closed(&self) -> bool {
        self.writing == Writing::Closed
    }

    /// Whether nothing more will be read.
    #[must_use]
    pub const fn is_read_ended(&self) -> bool {
        matches!(self.reading, Reading::Ended)
    }

    /// Bytes read so far, framing and incomplete frames included.
    #[must_use]
    pub const fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The stream, for queries. Do not read from it or write to it: that would break frames.
    pub const fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S: fmt::Debug, F: fmt::Debug> fmt::Debug for Pump<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump")
            .field("stream", &self.stream)
            .field("decoder", &self.decoder)
            .field("encoder", &self.encoder)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
