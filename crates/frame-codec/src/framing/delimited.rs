//! Frames that end with a delimiter.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{Envelope, Framing, Head, Scan};
use crate::Error;

/// What an unterminated last frame is when the stream ends in an orderly way.
///
/// After a reset it is always a cut frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unterminated {
    /// A frame like the others: programs that write text and close often leave out the last newline.
    Deliver,
    /// A cut frame: the delimiter is the proof of completeness.
    Cut,
}

/// Payload, then one byte that ends it: lines, or NUL-terminated strings.
///
/// ```
/// use frame_codec::{Delimited, Framing, Scan};
///
/// let scan = Delimited::lines().scan(b"one\ntwo", 0, 1024)?;
/// assert_eq!(scan, Scan::Frame { payload: 0..3, end: 4 });
/// # Ok::<(), frame_codec::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimited {
    delimiter: [u8; 1],
    unterminated: Unterminated,
}

impl Delimited {
    /// Lines ended by `\n`; the newline is not part of the frame, a carriage return before it is. An unterminated last
    /// line is delivered.
    #[must_use]
    pub const fn lines() -> Self {
        Self::by(b'\n')
    }

    /// Frames ended by this byte. An unterminated last frame is delivered.
    #[must_use]
    pub const fn by(delimiter: u8) -> Self {
        Self { delimiter: [delimiter], unterminated: Unterminated::Deliver }
    }

    /// Says what an unterminated last frame is.
    #[must_use]
    pub const fn unterminated(mut self, policy: Unterminated) -> Self {
        self.unterminated = policy;
        self
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        let [delimiter] = self.delimiter;
        memchr::memchr(delimiter, bytes)
    }
}

impl Framing for Delimited {
    #[inline]
    fn scan(&self, unread: &[u8], scanned: usize, max_payload: usize) -> Result<Scan, Error> {
        let fresh = unread.get(scanned..).unwrap_or_default();
        let payload_len = match self.find(fresh) {
            Some(at) => scanned.saturating_add(at),
            None => unread.len(),
        };
        if payload_len > max_payload {
            return Err(Error::FrameTooLarge { len: payload_len as u64, max: max_payload });
        }
        if payload_len == unread.len() {
            return Ok(Scan::More { at_least: payload_len.saturating_add(1), scanned: payload_len });
        }
        Ok(Scan::Frame { payload: 0..payload_len, end: payload_len.saturating_add(1) })
    }

    fn at_eof(&self, unread: &[u8], _max_payload: usize) -> Result<Scan, Error> {
        Ok(match self.unterminated {
            Unterminated::Deliver if !unread.is_empty() => Scan::Frame { payload: 0..unread.len(), end: unread.len() },
            Unterminated::Deliver | Unterminated::Cut => {
                Scan::More { at_least: unread.len().saturating_add(1), scanned: unread.len() }
            }
        })
    }

    #[inline]
    fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, Error> {
        match self.find(payload) {
            Some(at) => Err(Error::DelimiterInPayload { at }),
            None => Ok(Envelope { head: Head::EMPTY, tail: &self.delimiter }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_already_searched_are_not_searched_again() {
        // The first newline lies in the part declared searched: only the second may be found.
        let scan = Delimited::lines().scan(b"a\nb\n", 2, 100);
        assert_eq!(scan, Ok(Scan::Frame { payload: 0..3, end: 4 }));
    }

    #[test]
    fn a_line_that_grows_past_the_limit_is_refused_before_its_end() {
        let refused = Delimited::lines().scan(b"abcdef", 0, 5);
        assert_eq!(refused, Err(Error::FrameTooLarge { len: 6, max: 5 }));
        assert!(Delimited::lines().scan(b"abcde", 0, 5).is_ok());
    }

    #[test]
    fn a_payload_with_the_delimiter_inside_is_refused() {
        assert_eq!(Delimited::lines().envelope(b"ab\nc"), Err(Error::DelimiterInPayload { at: 2 }));
    }

    #[test]
    fn the_policy_decides_what_an_unterminated_line_is() {
        assert_eq!(Delimited::lines().at_eof(b"ab", 9), Ok(Scan::Frame { payload: 0..2, end: 2 }));
        let strict = Delimited::lines().unterminated(Unterminated::Cut);
        assert_eq!(strict.at_eof(b"ab", 9), Ok(Scan::More { at_least: 3, scanned: 2 }));
    }
}
