//! Frames that end with a delimiter.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{fmt, sync::Arc};

use memchr::memmem::Finder;

use super::{Envelope, Framing, Head, Oversized, Scan};
use crate::{DecodeError, EncodeError};

/// What to do with an unterminated last frame when the stream ends normally.
///
/// After a reset it is always a truncated frame. A process that is killed ends its stream normally, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unterminated {
    /// It is a frame like the others, [marked](crate::Decoder::is_unterminated) because it may be part of a longer one.
    /// Programs that write text and close often leave out the last newline.
    Deliver,
    /// It is a truncated frame: only the delimiter proves that a frame is complete.
    Truncate,
}

/// A payload that a delimiter ends: lines, NUL-terminated strings, any byte string.
///
/// | preset | delimiter | a carriage return in front of it |
/// |---|---|---|
/// | [`lines`](Self::lines) | `\n` | is part of the frame |
/// | `lines().`[`optional_cr()`](Self::optional_cr) | `\n` or `\r\n`; writes `\n` | is not |
/// | [`crlf`](Self::crlf) | `\r\n`; a lone `\n` is part of the frame | is part of the delimiter |
/// | [`nul`](Self::nul) | `\0` | is part of the frame |
///
/// ```
/// use frame_codec::{Delimited, Framing, Scan};
///
/// let scan = Delimited::lines().scan(b"one\ntwo", 0, 1024)?;
/// assert_eq!(scan, Scan::Frame { payload: 0..3, end: 4 });
/// let scan = Delimited::by_string(b"--").scan(b"a-b--c", 0, 1024)?;
/// assert_eq!(scan, Scan::Frame { payload: 0..3, end: 5 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A payload that contains the delimiter is rejected for sending ([`EncodeError::DelimiterInPayload`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delimited {
    delimiter: Delimiter,
    optional_cr: bool,
    unterminated: Unterminated,
}

impl Delimited {
    /// Lines ended by `\n`. The newline is not part of the frame; a carriage return before it is. An unterminated last
    /// line is delivered.
    #[must_use]
    pub const fn lines() -> Self {
        Self::by(b'\n')
    }

    /// Lines ended by `\r\n`, as in HTTP/1 and SMTP (RFC 9112 §2.2, RFC 5321 §2.3.8); a lone `\n` ends nothing.
    #[must_use]
    pub fn crlf() -> Self {
        Self::by_string(b"\r\n")
    }

    /// Frames ended by a zero byte, as `find -print0` writes them.
    #[must_use]
    pub const fn nul() -> Self {
        Self::by(0)
    }

    /// Frames ended by this byte. An unterminated last frame is delivered.
    #[must_use]
    pub const fn by(delimiter: u8) -> Self {
        Self { delimiter: Delimiter::Byte([delimiter]), optional_cr: false, unterminated: Unterminated::Deliver }
    }

    /// Frames ended by this byte string. An unterminated last frame is delivered, including any part of the delimiter
    /// at its end.
    ///
    /// # Panics
    ///
    /// If the string is empty.
    #[must_use]
    pub fn by_string(delimiter: &[u8]) -> Self {
        let delimiter = match delimiter {
            [] => panic!("a delimiter has at least one byte"),
            [byte] => Delimiter::Byte([*byte]),
            string => Delimiter::String(Arc::new(Needle::new(string))),
        };
        Self { delimiter, optional_cr: false, unterminated: Unterminated::Deliver }
    }

    /// Removes one carriage return in front of the delimiter, if there is one. Then you cannot send a payload that ends
    /// with a carriage return.
    #[must_use]
    pub const fn optional_cr(mut self) -> Self {
        self.optional_cr = true;
        self
    }

    /// Sets what to do with an unterminated last frame.
    #[must_use]
    pub const fn unterminated(mut self, policy: Unterminated) -> Self {
        self.unterminated = policy;
        self
    }

    /// How many bytes at the end of an incomplete frame may belong to the delimiter.
    #[inline]
    fn slack(&self) -> usize {
        self.delimiter.as_ref().len().saturating_sub(1).saturating_add(usize::from(self.optional_cr))
    }
}

impl Framing for Delimited {
    #[inline]
    fn scan(&self, unread: &[u8], scanned: usize, max_payload: usize) -> Result<Scan, DecodeError> {
        let fresh = unread.get(scanned..).unwrap_or_default();
        let Some(found) = self.delimiter.find(fresh) else {
            let sure = unread.len().saturating_sub(self.slack());
            if sure > max_payload {
                return Err(DecodeError::FrameTooLarge { len: sure as u64, max: max_payload });
            }
            // A delimiter may have begun, so its first bytes must be searched again.
            let begun = self.delimiter.as_ref().len().saturating_sub(1);
            let scanned = unread.len().saturating_sub(begun);
            return Ok(Scan::More { at_least: unread.len().saturating_add(1), scanned });
        };
        let at = scanned.saturating_add(found);
        let end = at.saturating_add(self.delimiter.as_ref().len());
        let with_cr = self.optional_cr && unread.get(..at).is_some_and(|line| line.ends_with(b"\r"));
        let len = at.saturating_sub(with_cr.into());
        if len > max_payload {
            return Err(DecodeError::FrameTooLarge { len: len as u64, max: max_payload });
        }
        Ok(Scan::Frame { payload: 0..len, end })
    }

    fn at_eof(&self, unread: &[u8], max_payload: usize) -> Result<Scan, DecodeError> {
        let len = unread.len();
        match self.unterminated {
            Unterminated::Deliver if len > max_payload => {
                Err(DecodeError::FrameTooLarge { len: len as u64, max: max_payload })
            }
            Unterminated::Deliver if len > 0 => Ok(Scan::Frame { payload: 0..len, end: len }),
            Unterminated::Deliver | Unterminated::Truncate => {
                Ok(Scan::More { at_least: len.saturating_add(1), scanned: len })
            }
        }
    }

    fn oversized(&self, _unread: &[u8]) -> Result<Oversized, DecodeError> {
        Ok(Oversized::Open { start: 0 })
    }

    #[inline]
    fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        if let Some(at) = self.delimiter.find_ended(payload) {
            return Err(EncodeError::DelimiterInPayload { at });
        }
        match payload {
            [rest @ .., b'\r'] if self.optional_cr => Err(EncodeError::DelimiterInPayload { at: rest.len() }),
            _ => Ok(Envelope { head: Head::EMPTY, tail: self.delimiter.as_ref() }),
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Delimiter {
    Byte([u8; 1]),
    String(Arc<Needle>),
}

impl Delimiter {
    #[inline]
    fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Byte([byte]) => memchr::memchr(*byte, bytes),
            Self::String(needle) => needle.finder.find(bytes),
        }
    }

    /// Where the delimiter first appears in `payload` followed by the delimiter, if that is before the end of the
    /// payload.
    #[inline]
    fn find_ended(&self, payload: &[u8]) -> Option<usize> {
        let inside = self.find(payload);
        match self {
            Self::Byte(_) => inside,
            Self::String(needle) => inside.or_else(|| needle.begun_in(payload)),
        }
    }
}

impl AsRef<[u8]> for Delimiter {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Byte(byte) => byte,
            Self::String(needle) => needle.finder.needle(),
        }
    }
}

impl fmt::Debug for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_ref().escape_ascii())
    }
}

/// A delimiter of several bytes, prepared for the search.
struct Needle {
    finder: Finder<'static>,
    /// The shifts by which the delimiter overlaps itself: a payload that ends with that many of its first bytes makes
    /// it appear too early. Few delimiters have such a shift; `aa` has 1.
    periods: Vec<usize>,
}

impl Needle {
    fn new(delimiter: &[u8]) -> Self {
        let periods = (1..delimiter.len())
            .filter(|by| delimiter.get(*by..).is_some_and(|moved| delimiter.starts_with(moved)))
            .collect();
        Self { finder: Finder::new(delimiter).into_owned(), periods }
    }

    /// Where a delimiter begins in `payload` that the delimiter behind it completes.
    fn begun_in(&self, payload: &[u8]) -> Option<usize> {
        // The longest first: it begins earliest.
        let begins = |by: &&usize| self.finder.needle().get(..**by).is_some_and(|start| payload.ends_with(start));
        self.periods.iter().rev().find(begins).map(|by| payload.len().saturating_sub(*by))
    }
}

impl PartialEq for Needle {
    fn eq(&self, other: &Self) -> bool {
        self.finder.needle() == other.finder.needle()
    }
}

impl Eq for Needle {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framings_are_compared_and_printed_by_their_delimiters() {
        assert_eq!(Delimited::by_string(b"ab"), Delimited::by_string(b"ab"));
        assert_ne!(Delimited::by_string(b"ab"), Delimited::by_string(b"ac"));
        assert!(format!("{:?}", Delimited::crlf()).contains(r#""\r\n""#), "{:?}", Delimited::crlf());
    }

    #[test]
    fn bytes_already_searched_are_not_searched_again() {
        // The first newline is in the part that was already searched: only the second may be found.
        let scan = Delimited::lines().scan(b"a\nb\n", 2, 100);
        assert_eq!(scan, Ok(Scan::Frame { payload: 0..3, end: 4 }));
    }

    #[test]
    fn a_line_that_grows_past_the_limit_is_rejected_before_its_end() {
        let found = Delimited::lines().scan(b"abcdef", 0, 5);
        assert_eq!(found, Err(DecodeError::FrameTooLarge { len: 6, max: 5 }));
        assert!(Delimited::lines().scan(b"abcde", 0, 5).is_ok());
    }

    #[test]
    fn a_payload_that_contains_the_delimiter_is_rejected() {
        assert_eq!(Delimited::lines().envelope(b"ab\nc"), Err(EncodeError::DelimiterInPayload { at: 2 }));
        assert_eq!(Delimited::by_string(b"--").envelope(b"ab--c"), Err(EncodeError::DelimiterInPayload { at: 2 }));
    }

    #[test]
    fn a_payload_that_ends_with_the_beginning_of_its_delimiter_is_rejected() {
        // "xa" and "aa" would be read as "x", then "a" and the bytes behind it.
        assert_eq!(Delimited::by_string(b"aa").envelope(b"xa"), Err(EncodeError::DelimiterInPayload { at: 1 }));
        assert_eq!(Delimited::by_string(b"abab").envelope(b"xab"), Err(EncodeError::DelimiterInPayload { at: 1 }));
        assert!(Delimited::by_string(b"\r\n").envelope(b"x\r").is_ok());
    }

    #[test]
    fn the_policy_decides_what_an_unterminated_line_is() {
        assert_eq!(Delimited::lines().at_eof(b"ab", 9), Ok(Scan::Frame { payload: 0..2, end: 2 }));
        let strict = Delimited::lines().unterminated(Unterminated::Truncate);
        assert_eq!(strict.at_eof(b"ab", 9), Ok(Scan::More { at_least: 3, scanned: 2 }));
    }

    #[test]
    fn a_carriage_return_is_left_out_only_where_that_is_asked_for() {
        assert_eq!(Delimited::lines().scan(b"a\r\n", 0, 9), Ok(Scan::Frame { payload: 0..2, end: 3 }));
        let either = Delimited::lines().optional_cr();
        for (wire, len) in [(&b"a\r\n"[..], 1), (b"a\n", 1), (b"\r\n", 0), (b"a\r\r\n", 2)] {
            let scan = either.scan(wire, 0, 9);
            assert_eq!(scan, Ok(Scan::Frame { payload: 0..len, end: wire.len() }), "{}", wire.escape_ascii());
        }
        assert_eq!(either.envelope(b"a\r"), Err(EncodeError::DelimiterInPayload { at: 1 }));
        assert_eq!(Delimited::crlf().scan(b"a\nb\r\n", 0, 9), Ok(Scan::Frame { payload: 0..3, end: 5 }));
    }

    #[test]
    fn a_delimiter_split_over_reads_is_found() {
        let framing = Delimited::by_string(b"<end>");
        let wire = b"one<en<end>two";
        let mut scanned = 0;
        for len in 0..11 {
            let Ok(Scan::More { at_least, scanned: seen }) = framing.scan(&wire[..len], scanned, 99) else {
                panic!("a frame in {len} bytes")
            };
            assert!(at_least == len + 1 && seen >= scanned);
            scanned = seen;
        }
        assert_eq!(framing.scan(&wire[..11], scanned, 99), Ok(Scan::Frame { payload: 0..6, end: 11 }));
    }

    #[test]
    fn the_limit_counts_payload_and_no_part_of_the_delimiter() {
        let framing = Delimited::by_string(b"<end>");
        assert!(matches!(framing.scan(b"abc<end", 0, 3), Ok(Scan::More { .. })));
        assert!(framing.scan(b"abc<end>", 0, 3).is_ok());
        assert_eq!(framing.scan(b"abcd<end>", 0, 3), Err(DecodeError::FrameTooLarge { len: 4, max: 3 }));
        assert_eq!(framing.at_eof(b"abc<end", 3), Err(DecodeError::FrameTooLarge { len: 7, max: 3 }));
        let either = Delimited::lines().optional_cr();
        assert!(matches!(either.scan(b"abc\r", 0, 3), Ok(Scan::More { .. })));
        assert!(either.scan(b"abc\r\n", 0, 3).is_ok());
    }
}
