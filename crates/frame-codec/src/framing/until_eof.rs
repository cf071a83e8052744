//! One message per connection, which ends when the peer closes.

use super::{Envelope, Framing, Oversized, Scan};
use crate::{DecodeError, EncodeError};

/// The whole stream is one frame, which is complete when the stream ends normally.
///
/// A connection that closes without a byte carries no frame. After a reset, the bytes are a truncated frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UntilEof;

impl Framing for UntilEof {
    #[inline]
    fn scan(&self, unread: &[u8], _scanned: usize, max_payload: usize) -> Result<Scan, DecodeError> {
        if unread.len() > max_payload {
            return Err(DecodeError::FrameTooLarge { len: unread.len() as u64, max: max_payload });
        }
        Ok(Scan::More { at_least: unread.len().saturating_add(1), scanned: unread.len() })
    }

    fn at_eof(&self, unread: &[u8], max_payload: usize) -> Result<Scan, DecodeError> {
        match unread.len() {
            0 => Ok(Scan::More { at_least: 1, scanned: 0 }),
            len if len > max_payload => Err(DecodeError::FrameTooLarge { len: len as u64, max: max_payload }),
            len => Ok(Scan::Frame { payload: 0..len, end: len }),
        }
    }

    fn ends_at_eof(&self) -> bool {
        true
    }

    fn oversized(&self, _unread: &[u8]) -> Result<Oversized, DecodeError> {
        Ok(Oversized::Open { start: 0 })
    }

    /// Nothing surrounds the payload. The close ends it, so a second frame on the same stream would become part of the
    /// first.
    #[inline]
    fn envelope(&self, _payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        Ok(Envelope::NONE)
    }
}
