//! Frames that begin with their length in decimal digits and a space: syslog over streams.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{
    Envelope, Framing, Oversized, Scan,
    decimal::{self, Decimal},
};
use crate::{DecodeError, EncodeError};

/// The length in decimal digits, a space, the payload: octet counting, RFC 6587 §3.4.1.
///
/// `MSG-LEN` begins with a digit that is not zero, so there are no empty payloads.
///
/// ```
/// use frame_codec::{Framing, OctetCount, Scan};
///
/// let scan = OctetCount.scan(b"9 <34>1 - -...", 0, 1024)?;
/// assert_eq!(scan, Scan::Frame { payload: 2..11, end: 11 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OctetCount;

impl Framing for OctetCount {
    #[inline]
    fn scan(&self, unread: &[u8], _scanned: usize, max_payload: usize) -> Result<Scan, DecodeError> {
        if unread.first() == Some(&b'0') {
            return Err(DecodeError::Malformed { what: "the octet count begins with a zero" });
        }
        let (len, start) = match decimal::read(unread, max_payload)? {
            Decimal::Partial => {
                return Ok(Scan::More { at_least: unread.len().saturating_add(1), scanned: 0 });
            }
            Decimal::Whole { value, mark: b' ', end } => (value, end),
            Decimal::Whole { .. } => return Err(DecodeError::Malformed { what: "no space behind the octet count" }),
        };
        let end = start.saturating_add(len);
        if unread.len() < end {
            return Ok(Scan::More { at_least: end, scanned: 0 });
        }
        Ok(Scan::Frame { payload: start..end, end })
    }

    fn oversized(&self, unread: &[u8]) -> Result<Oversized, DecodeError> {
        Ok(match decimal::read(unread, usize::MAX)? {
            Decimal::Partial => Oversized::More,
            Decimal::Whole { value, mark: b' ', end } => {
                Oversized::Declared { start: end, len: value as u64, tail: &[] }
            }
            Decimal::Whole { .. } => return Err(DecodeError::Malformed { what: "no space behind the octet count" }),
        })
    }

    #[inline]
    fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        if payload.is_empty() {
            return Err(EncodeError::EmptyPayload);
        }
        Ok(Envelope { head: decimal::head(payload.len(), b' '), tail: &[] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_rfc_does_not_allow_is_malformed() {
        for bytes in [&b"0 "[..], b"01 a", b" a", b"-1 a", b"+1 a", b"1\ta", b"1x", b"\n1 a"] {
            let scan = OctetCount.scan(bytes, 0, 100);
            assert!(matches!(scan, Err(DecodeError::Malformed { .. })), "{}: {scan:?}", bytes.escape_ascii());
        }
        assert_eq!(OctetCount.envelope(b""), Err(EncodeError::EmptyPayload));
    }

    #[test]
    fn a_count_over_the_limit_is_rejected_before_its_space() {
        assert_eq!(OctetCount.scan(b"101", 0, 100), Err(DecodeError::FrameTooLarge { len: 101, max: 100 }));
        assert_eq!(OctetCount.scan(b"100 ", 0, 100), Ok(Scan::More { at_least: 104, scanned: 0 }));
    }
}
