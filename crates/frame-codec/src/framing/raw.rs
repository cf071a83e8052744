//! No framing: whatever arrived together is a frame.

use super::{Envelope, Framing, Scan};
use crate::{DecodeError, EncodeError};

/// Every read is a frame: the bytes as the stream happened to deliver them.
///
/// Where frames begin and end depends on timing, so you can rely only on their concatenation. A read longer than the
/// limit becomes several frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl Framing for Raw {
    #[inline]
    fn scan(&self, unread: &[u8], _scanned: usize, max_payload: usize) -> Result<Scan, DecodeError> {
        match unread.len().min(max_payload) {
            0 if unread.is_empty() => Ok(Scan::More { at_least: 1, scanned: 0 }),
            // Even several frames could not carry it, and waiting for more would never end.
            0 => Err(DecodeError::FrameTooLarge { len: unread.len() as u64, max: max_payload }),
            len => Ok(Scan::Frame { payload: 0..len, end: len }),
        }
    }

    #[inline]
    fn envelope(&self, _payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        Ok(Envelope::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_nothing_is_over_the_limit_and_no_endless_wait() {
        assert_eq!(Raw.scan(b"", 0, 0), Ok(Scan::More { at_least: 1, scanned: 0 }));
        assert_eq!(Raw.scan(b"ab", 0, 0), Err(DecodeError::FrameTooLarge { len: 2, max: 0 }));
        assert_eq!(Raw.scan(b"ab", 0, 1), Ok(Scan::Frame { payload: 0..1, end: 1 }));
    }
}
