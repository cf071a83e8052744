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
        let len = unread.len().min(max_payload);
        Ok(match len {
            0 => Scan::More { at_least: 1, scanned: 0 },
            len => Scan::Frame { payload: 0..len, end: len },
        })
    }

    #[inline]
    fn envelope(&self, _payload: &[u8]) -> Result<Envelope<'_>, Error> {
        Ok(Envelope::NONE)
    }
}
