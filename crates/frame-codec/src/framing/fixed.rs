//! Frames that all have the same length.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{Envelope, Framing, Oversized, Scan};
use crate::{DecodeError, EncodeError};

/// Every frame has `len` bytes and nothing around it: records, samples, cells.
///
/// A payload of another length is rejected for sending ([`EncodeError::WrongLength`]). If the stream ends with fewer bytes
/// than that, they are a truncated frame.
///
/// ```
/// use frame_codec::{Fixed, Framing, Scan};
///
/// assert_eq!(Fixed::new(3).scan(b"abcdef", 0, 1024)?, Scan::Frame { payload: 0..3, end: 3 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    len: usize,
}

impl Fixed {
    /// Frames of `len` bytes.
    ///
    /// # Panics
    ///
    /// If `len` is 0: then there would be endlessly many empty frames.
    #[must_use]
    pub const fn new(len: usize) -> Self {
        assert!(len > 0, "a fixed frame has at least one byte");
        Self { len }
    }
}

impl Framing for Fixed {
    #[inline]
    fn scan(&self, unread: &[u8], _scanned: usize, max_payload: usize) -> Result<Scan, DecodeError> {
        if self.len > max_payload {
            return Err(DecodeError::FrameTooLarge { len: self.len as u64, max: max_payload });
        }
        if unread.len() < self.len {
            return Ok(Scan::More { at_least: self.len, scanned: 0 });
        }
        Ok(Scan::Frame { payload: 0..self.len, end: self.len })
    }

    fn oversized(&self, _unread: &[u8]) -> Result<Oversized, DecodeError> {
        Ok(Oversized::Declared { start: 0, len: self.len as u64, tail: &[] })
    }

    #[inline]
    fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        if payload.len() != self.len {
            return Err(EncodeError::WrongLength { len: payload.len(), expected: self.len as u64 });
        }
        Ok(Envelope::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_payloads_of_that_length_are_sent() {
        assert_eq!(Fixed::new(3).envelope(b"abc"), Ok(Envelope::NONE));
        for other in [&b""[..], b"ab", b"abcd"] {
            assert_eq!(Fixed::new(3).envelope(other), Err(EncodeError::WrongLength { len: other.len(), expected: 3 }));
        }
    }

    #[test]
    fn a_frame_may_be_as_long_as_the_limit() {
        assert_eq!(Fixed::new(3).scan(b"abcd", 0, 3), Ok(Scan::Frame { payload: 0..3, end: 3 }));
    }

    #[test]
    fn frames_longer_than_the_limit_are_never_waited_for() {
        assert_eq!(Fixed::new(9).scan(b"", 0, 8), Err(DecodeError::FrameTooLarge { len: 9, max: 8 }));
    }
}
