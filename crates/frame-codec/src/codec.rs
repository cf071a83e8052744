//! Any framing, for `tokio_util::codec`.

use std::{fmt, io};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::{DecodeError, EncodeError, Framing, Limits, Scan};

/// The most room to reserve at once, in bytes; beyond that, the buffer grows with what arrives.
const READ: usize = 8 << 10;

/// Turns a [`Framing`] into a [`tokio_util::codec::Decoder`] and [`Encoder`](tokio_util::codec::Encoder), for programs
/// that already use `Framed`.
///
/// It keeps the framing's limits and end-of-file policy. It works frame by frame, with one `Bytes` each. If you need
/// more speed, use [`Pump`](crate::Pump) or [`Decoder`](crate::Decoder), which work batch by batch.
///
/// ```
/// use frame_codec::{Codec, Delimited, Limits};
/// use futures_util::{SinkExt, StreamExt};
/// use tokio_util::codec::Framed;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let (here, there) = tokio::io::duplex(64);
/// let mut left = Framed::new(here, Codec::new(Delimited::lines(), Limits::default()));
/// let mut right = Framed::new(there, Codec::new(Delimited::lines(), Limits::default()));
/// left.send("hello").await?;
/// assert_eq!(right.next().await.expect("a line was sent")?, "hello");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Inside an [`io::Error`], because these traits require one: a [`DecodeError`] if the peer broke the framing (final; every later
/// call returns it again) or the stream ended inside a frame, an [`EncodeError`] if a payload cannot be sent.
#[derive(Clone)]
pub struct Codec<F> {
    framing: F,
    limits: Limits,
    at_least: usize,
    scanned: usize,
    broken: Option<DecodeError>,
}

impl<F: Framing> Codec<F> {
    /// A codec for one stream.
    pub const fn new(framing: F, limits: Limits) -> Self {
        Self { framing, limits, at_least: 1, scanned: 0, broken: None }
    }

    /// Takes the frame that `found` describes out of the buffer.
    fn take(&mut self, src: &mut BytesMut, found: Result<Scan, DecodeError>) -> io::Result<Option<Bytes>> {
        match found {
            Ok(Scan::Frame { payload, end }) => {
                (self.at_least, self.scanned) = (1, 0);
                let mut frame = src.split_to(end).freeze();
                frame.truncate(payload.end);
                frame.advance(payload.start);
                Ok(Some(frame))
            }
            Ok(Scan::More { at_least, scanned }) => {
                (self.at_least, self.scanned) = (at_least, scanned);
                Ok(None)
            }
            Err(error) => {
                self.broken = Some(error.clone());
                Err(error.into())
            }
        }
    }
}

impl<F: Framing> Decoder for Codec<F> {
    type Item = Bytes;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<Bytes>> {
        if let Some(error) = &self.broken {
            return Err(error.clone().into());
        }
        let found = if src.len() < self.at_least {
            Ok(Scan::More { at_least: self.at_least, scanned: self.scanned })
        } else {
            self.framing.scan(src, self.scanned, self.limits.max_frame())
        };
        let taken = self.take(src, found)?;
        if taken.is_none() {
            let missing = self.at_least.saturating_sub(src.len());
            src.reserve(missing.min(READ.max(src.len())));
        }
        Ok(taken)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> io::Result<Option<Bytes>> {
        if let Some(frame) = self.decode(src)? {
            return Ok(Some(frame));
        }
        let at_least = self.at_least;
        let found = self.framing.at_eof(src, self.limits.max_frame());
        let last = self.take(src, found)?;
        if last.is_none() && !src.is_empty() {
            let truncated = DecodeError::Truncated { have: src.len(), at_least };
            self.broken = Some(truncated.clone());
            return Err(truncated.into());
        }
        Ok(last)
    }
}

impl<F: Framing, P: AsRef<[u8]>> Encoder<P> for Codec<F> {
    type Error = io::Error;

    fn encode(&mut self, payload: P, dst: &mut BytesMut) -> io::Result<()> {
        let payload = payload.as_ref();
        let (len, max) = (payload.len(), self.limits.max_frame());
        if len > max {
            return Err(EncodeError::PayloadTooLarge { len, max }.into());
        }
        let envelope = self.framing.envelope(payload)?;
        let head = envelope.head.as_ref();
        dst.reserve(head.len() + len + envelope.tail.len());
        dst.extend_from_slice(head);
        dst.extend_from_slice(payload);
        dst.extend_from_slice(envelope.tail);
        Ok(())
    }
}

impl<F: fmt::Debug> fmt::Debug for Codec<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codec").field("framing", &self.framing).field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tokio_util::codec::FramedRead;

    use super::*;
    use crate::{Delimited, LengthPrefixed, UntilEof};

    /// Every frame of `wire` until the end or the first error.
    async fn read(framing: impl Framing + Unpin, wire: &[u8]) -> (Vec<Bytes>, Option<DecodeError>) {
        let mut stream = FramedRead::new(wire, Codec::new(framing, Limits::default().with_max_frame(8)));
        let mut frames = Vec::new();
        loop {
            match stream.next().await {
                Some(Ok(frame)) => frames.push(frame),
                Some(Err(error)) => {
                    return (frames, error.get_ref().and_then(|inner| inner.downcast_ref()).cloned());
                }
                None => return (frames, None),
            }
        }
    }

    #[tokio::test]
    async fn an_end_between_frames_is_an_end_and_inside_one_an_error_with_counts() {
        let whole = b"\0\0\0\x02ok";
        assert_eq!(read(LengthPrefixed::u32_be(), whole).await, (vec![Bytes::from_static(b"ok")], None));
        let (frames, error) = read(LengthPrefixed::u32_be(), b"\0\0\0\x02ok\0\0\0\x05ab").await;
        assert_eq!((frames.len(), error), (1, Some(DecodeError::Truncated { have: 6, at_least: 9 })));
    }

    #[tokio::test]
    async fn the_end_completes_what_the_policy_lets_it_complete() {
        assert_eq!(read(Delimited::lines(), b"a\nb").await.0, ["a", "b"]);
        assert_eq!(read(UntilEof, b"all").await, (vec![Bytes::from_static(b"all")], None));
        assert_eq!(read(UntilEof, b"").await, (vec![], None));
    }

    #[test]
    fn a_frame_over_the_limit_is_rejected_for_good() {
        let mut codec = Codec::new(LengthPrefixed::u32_be(), Limits::default().with_max_frame(8));
        for _ in 0..2 {
            let mut wire = BytesMut::from(&b"\0\0\0\x09"[..]);
            let error = codec.decode(&mut wire).unwrap_err();
            assert_eq!((error.kind(), wire.capacity() < 64), (io::ErrorKind::InvalidData, true));
        }
        let error = codec.encode([0; 9], &mut BytesMut::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
