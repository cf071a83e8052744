//! Frames that begin with their length in decimal digits and end with a comma.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{
    Envelope, Framing, Oversized, Scan,
    decimal::{self, Decimal},
};
use crate::{DecodeError, EncodeError};

/// The length in decimal digits, a colon, the payload, a comma: `5:hello,` (D. J. Bernstein, "Netstrings", 1997).
///
/// ```
/// use frame_codec::{Framing, Netstring, Scan};
///
/// let scan = Netstring.scan(b"2:hi,...", 0, 1024)?;
/// assert_eq!(scan, Scan::Frame { payload: 2..4, end: 5 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Netstring;

impl Framing for Netstring {
    #[inline]
    fn scan(&self, unread: &[u8], _scanned: usize, max_payload: usize) -> Result<Scan, DecodeError> {
        let (len, start) = match decimal::read(unread, max_payload)? {
            Decimal::Partial => {
                // At least a colon and a comma are still missing, but the very next byte can already be wrong.
                return Ok(Scan::More { at_least: unread.len().saturating_add(1), scanned: 0 });
            }
            Decimal::Whole { value, mark: b':', end } => (value, end),
            Decimal::Whole { .. } => {
                return Err(DecodeError::Malformed { what: "no colon behind the netstring's length" });
            }
        };
        let comma = start.saturating_add(len);
        match unread.get(comma) {
            Some(b',') => Ok(Scan::Frame { payload: start..comma, end: comma.saturating_add(1) }),
            Some(_) => Err(DecodeError::Malformed { what: "no comma behind the netstring" }),
            None => Ok(Scan::More { at_least: comma.saturating_add(1), scanned: 0 }),
        }
    }

    fn oversized(&self, unread: &[u8]) -> Result<Oversized, DecodeError> {
        Ok(match decimal::read(unread, usize::MAX)? {
            Decimal::Partial => Oversized::More,
            Decimal::Whole { value, mark: b':', end } => {
                Oversized::Declared { start: end, len: value as u64, tail: b"," }
            }
            Decimal::Whole { .. } => {
                return Err(DecodeError::Malformed { what: "no colon behind the netstring's length" });
            }
        })
    }

    #[inline]
    fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        Ok(Envelope { head: decimal::head(payload.len(), b':'), tail: b"," })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_netstring_has_one_zero() {
        assert_eq!(Netstring.scan(b"0:,", 0, 100), Ok(Scan::Frame { payload: 2..2, end: 3 }));
        assert_eq!(Netstring.envelope(b"").unwrap().head.as_ref(), b"0:");
    }

    #[test]
    fn what_is_no_netstring_is_malformed() {
        for bytes in [&b"00:,"[..], b"05:hello,", b":,", b"-1:,", b"1 a,", b"1:ab", b"2:hi;", b"0x1:a,"] {
            let scan = Netstring.scan(bytes, 0, 100);
            assert!(matches!(scan, Err(DecodeError::Malformed { .. })), "{}: {scan:?}", bytes.escape_ascii());
        }
    }
}
