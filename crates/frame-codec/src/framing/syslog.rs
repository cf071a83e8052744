//! Syslog messages on a stream, with any of the separators that senders use.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{Envelope, Framing, Oversized, Scan, decimal};
use crate::{DecodeError, EncodeError};

/// Digits of the longest octet count. A message that begins with more digits is a line.
const DIGITS: usize = 10;

/// Syslog as it is sent over streams in practice: octet counts, newlines and NULs, in any order on one connection (RFC
/// 6587 §3.4; `logger` ends its messages with a newline, syslog(3) and Python's `SysLogHandler` with a NUL).
///
/// | a message begins with | it ends |
/// |---|---|
/// | up to 10 digits, the first of them not zero, and a space | after that many bytes (octet counting) |
/// | anything else; syslog begins with `<` | before the next newline or NUL |
///
/// Newlines and NULs between messages are skipped, so there are no empty messages. A line that begins with a number and
/// a space is read as an octet count: for text that is not syslog, use [`Delimited::lines`](super::Delimited::lines).
///
/// An unterminated last line is delivered. Messages are written with octet counts.
///
/// ```
/// use frame_codec::{Decoder, Limits, Syslog};
///
/// let mut decoder = Decoder::new(Syslog, Limits::default());
/// decoder.feed(b"<13>one\n<13>two\08 <13>3\n\n4<13>four\n");
/// let batch = decoder.next_batch()?.expect("four messages are complete");
/// assert_eq!(batch.iter().collect::<Vec<_>>(), [&b"<13>one"[..], b"<13>two", b"<13>3\n\n4", b"<13>four"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Syslog;

/// How the message at the front ends.
enum Kind {
    /// After `len` bytes from `start` on.
    Counted { start: usize, len: usize },
    /// With a delimiter. The message begins at `start`.
    Line { start: usize },
    /// More bytes are needed to decide.
    Undecided,
}

impl Syslog {
    #[inline]
    fn kind(self, unread: &[u8]) -> Kind {
        let lead = self.padding(unread);
        let body = unread.get(lead..).unwrap_or_default();
        let digits = body.iter().take(DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
        let mut value: usize = 0;
        for digit in body.iter().take(digits) {
            value = value.saturating_mul(10).saturating_add(usize::from(digit.wrapping_sub(b'0')));
        }
        match (body.first(), body.get(digits)) {
            (None, _) => Kind::Undecided,
            (Some(b'1'..=b'9'), Some(b' ')) => {
                Kind::Counted { start: lead.saturating_add(digits).saturating_add(1), len: value }
            }
            (Some(b'1'..=b'9'), None) => Kind::Undecided,
            _ => Kind::Line { start: lead },
        }
    }
}

impl Framing for Syslog {
    #[inline]
    fn scan(&self, unread: &[u8], scanned: usize, max_payload: usize) -> Result<Scan, DecodeError> {
        let more = Scan::More { at_least: unread.len().saturating_add(1), scanned: 0 };
        match self.kind(unread) {
            Kind::Undecided => Ok(more),
            Kind::Counted { len, .. } if len > max_payload => {
                Err(DecodeError::FrameTooLarge { len: len as u64, max: max_payload })
            }
            Kind::Counted { start, len } => {
                let end = start.saturating_add(len);
                Ok(if unread.len() < end {
                    Scan::More { at_least: end, scanned: 0 }
                } else {
                    Scan::Frame { payload: start..end, end }
                })
            }
            Kind::Line { start } => {
                let from = scanned.clamp(start, unread.len().max(start));
                let found = memchr::memchr2(b'\n', 0, unread.get(from..).unwrap_or_default());
                let end = found.map_or(unread.len(), |at| from.saturating_add(at));
                let len = end.saturating_sub(start);
                if len > max_payload {
                    return Err(DecodeError::FrameTooLarge { len: len as u64, max: max_payload });
                }
                Ok(match found {
                    Some(_) => Scan::Frame { payload: start..end, end: end.saturating_add(1) },
                    None => Scan::More { at_least: unread.len().saturating_add(1), scanned: unread.len() },
                })
            }
        }
    }

    fn at_eof(&self, unread: &[u8], max_payload: usize) -> Result<Scan, DecodeError> {
        let end = unread.len();
        let start = match self.kind(unread) {
            // Digits without a space are a line.
            Kind::Undecided => self.padding(unread),
            Kind::Line { start } => start,
            Kind::Counted { .. } => return Ok(Scan::More { at_least: end.saturating_add(1), scanned: 0 }),
        };
        match end.saturating_sub(start) {
            0 => Ok(Scan::More { at_least: end.saturating_add(1), scanned: 0 }),
            len if len > max_payload => Err(DecodeError::FrameTooLarge { len: len as u64, max: max_payload }),
            _ => Ok(Scan::Frame { payload: start..end, end }),
        }
    }

    fn padding(&self, unread: &[u8]) -> usize {
        unread.iter().take_while(|byte| matches!(byte, b'\n' | 0)).count()
    }

    fn oversized(&self, unread: &[u8]) -> Result<Oversized, DecodeError> {
        Ok(match self.kind(unread) {
            Kind::Undecided => Oversized::Open { start: self.padding(unread) },
            Kind::Counted { start, len } => Oversized::Declared { start, len: len as u64, tail: &[] },
            Kind::Line { start } => Oversized::Open { start },
        })
    }

    fn resume(&self, rest: &[u8]) -> Result<Scan, DecodeError> {
        Ok(match memchr::memchr2(b'\n', 0, rest) {
            Some(at) => Scan::Frame { payload: 0..at, end: at.saturating_add(1) },
            None => Scan::More { at_least: rest.len().saturating_add(1), scanned: rest.len() },
        })
    }

    /// Writes an octet count.
    #[inline]
    fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        if payload.is_empty() {
            return Err(EncodeError::EmptyPayload);
        }
        let head = decimal::head(payload.len(), b' ');
        if head.len() > DIGITS.saturating_add(1) {
            return Err(EncodeError::PayloadTooLarge { len: payload.len(), max: 9_999_999_999 });
        }
        Ok(Envelope { head, tail: &[] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoder, Limits};

    #[test]
    fn digits_at_the_end_are_a_line_within_the_limit() {
        assert_eq!(Syslog.at_eof(b"12345", 5), Ok(Scan::Frame { payload: 0..5, end: 5 }));
        assert_eq!(Syslog.at_eof(b"12345", 4), Err(DecodeError::FrameTooLarge { len: 5, max: 4 }));
    }

    /// The messages, the bytes left over, and whether the end of the stream ended the last message.
    fn read(wire: &[u8]) -> (Vec<String>, usize, bool) {
        let mut decoder = Decoder::new(Syslog, Limits::default());
        decoder.feed(wire);
        let mut frames = Vec::new();
        while let Some(batch) = decoder.finish().unwrap() {
            frames.extend(batch.iter().map(|frame| String::from_utf8(frame.to_vec()).unwrap()));
        }
        (frames, decoder.truncated_len(), decoder.is_unterminated())
    }

    #[test]
    fn every_way_to_end_a_message_is_taken_on_one_connection() {
        let wire = b"<1>nul\0<2>line\n9 <3>count\n<4>count\n and\0both\n\0\n12x\n0 zero\n12345678901 long\n";
        let (frames, truncated, unterminated) = read(wire);
        let expected =
            ["<1>nul", "<2>line", "<3>count\n", "<4>count", " and", "both", "12x", "0 zero", "12345678901 long"];
        assert_eq!((frames, truncated, unterminated), (expected.map(str::to_owned).to_vec(), 0, false));
    }

    #[test]
    fn what_the_stream_ends_in_is_a_line_or_truncated() {
        let one = |text: &str| vec![text.to_owned()];
        assert_eq!(read(b"<1>a\n\0"), (one("<1>a"), 0, false));
        assert_eq!(read(b"<1>a"), (one("<1>a"), 0, true));
        assert_eq!(read(b"\n12"), (one("12"), 0, true));
        assert_eq!(read(b"\n12 <1>"), (vec![], 6, false));
        assert_eq!(read(b"\n\0\n"), (vec![], 0, false));
    }

    #[test]
    fn what_separates_messages_is_no_part_of_one_that_is_too_long() {
        let limits = Limits::default().with_max_frame(3);
        for at in 0..3 {
            let mut decoder = Decoder::new(Syslog, limits);
            let (first, second) = b"\0\n<15>\n".split_at(at);
            decoder.feed(first);
            assert!(decoder.next_batch().unwrap().is_none());
            decoder.feed(second);
            assert!(matches!(decoder.next_batch(), Err(DecodeError::FrameTooLarge { len: 4, max: 3 })));
            assert_eq!(decoder.truncated_len(), 5, "split at {at}");
        }
    }
}
