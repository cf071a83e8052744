//! No framing: whatever arrived together is a frame.

use super::{Envelope, Framing, Scan};
use crate::Error;

/// Every read is a frame: the bytes as the stream happened to deliver them.
///
/// Where frames begin and end depends on timing, so the only thing to rely on is their concatenation. A read longer than
/// the limit comes as several frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl Framing for Raw {
    #[inline]
    fn scan(&self, unread: &[u8], _scanned: usize, max_payload: usize) -> Result<Scan, Error> {
        match unread.len() {
            0 => Ok(Scan::More { at_least: 1, scanned: 0 }),
            // In pieces of no bytes it would never come to an end.
            len if max_payload == 0 => Err(Error::FrameTooLarge { len: len as u64, max: 0 }),
            len => {
                let len = len.min(max_payload);
                Ok(Scan::Frame { payload: 0..len, end: len })
            }
        }
    }

    #[inline]
    fn envelope(&self, _payload: &[u8]) -> Result<Envelope<'_>, Error> {
        Ok(Envelope::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_nothing_refuses_what_arrives_instead_of_waiting_for_it_for_ever() {
        assert_eq!(Raw.scan(b"a", 0, 0), Err(Error::FrameTooLarge { len: 1, max: 0 }));
        assert_eq!(Raw.scan(b"", 0, 0), Ok(Scan::More { at_least: 1, scanned: 0 }));
    }
}
