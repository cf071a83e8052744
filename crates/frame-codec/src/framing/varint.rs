//! Frames that begin with their length as a base-128 number.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{Envelope, Framing, Head, Oversized, Scan};
use crate::{DecodeError, EncodeError};

/// The longest encoding of a 64-bit number.
const LONGEST: usize = 10;

/// What to do with a length that was written with more bytes than necessary, such as `0x81 0x80 0x00` for 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlong {
    /// It is malformed, so that each message has one encoding.
    Refuse,
    /// Accept its value: some writers reserve a fixed width and fill in the length later.
    Accept,
}

/// A length in base 128 (unsigned LEB128), then that many bytes of payload: Protocol Buffers' delimited messages.
///
/// Each byte has seven bits, least significant first, and all bytes but the last have the top bit set; at most ten
/// bytes (Protocol Buffers, "Encoding", *Base 128 Varints*).
///
/// ```
/// use frame_codec::{Framing, Scan, Varint};
///
/// let scan = Varint::new().scan(b"\x02hi...", 0, 1024)?;
/// assert_eq!(scan, Scan::Frame { payload: 1..3, end: 3 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Varint {
    overlong: Overlong,
}

impl Varint {
    /// A framing that rejects overlong lengths.
    #[must_use]
    pub const fn new() -> Self {
        Self { overlong: Overlong::Refuse }
    }

    /// Sets what to do with an overlong length.
    #[must_use]
    pub const fn overlong(mut self, policy: Overlong) -> Self {
        self.overlong = policy;
        self
    }

    /// The number at the front, and how many bytes it takes; `None` if it continues behind `bytes`.
    #[inline]
    fn read(self, bytes: &[u8]) -> Result<Option<(u64, usize)>, DecodeError> {
        let mut number = 0_u64;
        for (at, byte) in bytes.iter().take(LONGEST).enumerate() {
            let bits = u64::from(byte & 0x7f);
            let shift = (at as u32).saturating_mul(7);
            // Ten bytes hold 70 bits; the highest six must be zero.
            if bits > u64::MAX >> shift {
                return Err(DecodeError::Malformed { what: "the varint does not fit 64 bits" });
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                if at > 0 && bits == 0 && self.overlong == Overlong::Refuse {
                    return Err(DecodeError::Malformed { what: "the varint is longer than its number needs" });
                }
                return Ok(Some((number, at.saturating_add(1))));
            }
        }
        if bytes.len() >= LONGEST {
            return Err(DecodeError::Malformed { what: "the varint does not end within 10 bytes" });
        }
        Ok(None)
    }
}

impl Default for Varint {
    fn default() -> Self {
        Self::new()
    }
}

impl Framing for Varint {
    #[inline]
    fn scan(&self, unread: &[u8], _scanned: usize, max_payload: usize) -> Result<Scan, DecodeError> {
        let Some((said, start)) = self.read(unread)? else {
            return Ok(Scan::More { at_least: unread.len().saturating_add(1), scanned: 0 });
        };
        let len = match usize::try_from(said) {
            Ok(len) if len <= max_payload => len,
            _ => return Err(DecodeError::FrameTooLarge { len: said, max: max_payload }),
        };
        let end = start.saturating_add(len);
        if unread.len() < end {
            return Ok(Scan::More { at_least: end, scanned: 0 });
        }
        Ok(Scan::Frame { payload: start..end, end })
    }

    fn oversized(&self, unread: &[u8]) -> Result<Oversized, DecodeError> {
        Ok(match self.read(unread)? {
            Some((len, start)) => Oversized::Declared { start, len, tail: &[] },
            None => Oversized::More,
        })
    }

    #[inline]
    fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        let mut left = payload.len() as u64;
        let mut field = [0_u8; LONGEST];
        let mut used: usize = 0;
        for byte in &mut field {
            used = used.saturating_add(1);
            *byte = (left & 0x7f) as u8;
            left >>= 7;
            if left == 0 {
                break;
            }
            *byte |= 0x80;
        }
        let head = field.get(..used).and_then(Head::new).expect("a varint is shorter than the longest head");
        Ok(Envelope { head, tail: &[] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_protocol_buffers_writes_them() {
        for (len, field) in [(0, &b"\x00"[..]), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")] {
            assert_eq!(Varint::new().envelope(&vec![0; len]).unwrap().head.as_ref(), field);
        }
    }

    #[test]
    fn a_number_without_end_or_beyond_64_bits_is_malformed() {
        let endless = Varint::new().scan(&[0x80; 10], 0, 100);
        assert!(matches!(endless, Err(DecodeError::Malformed { what }) if what.contains("end")), "{endless:?}");
        assert_eq!(Varint::new().scan(&[0x80; 9], 0, 100), Ok(Scan::More { at_least: 10, scanned: 0 }));
        let largest = [&[0xff; 9][..], &[1]].concat();
        assert_eq!(Varint::new().scan(&largest, 0, 100), Err(DecodeError::FrameTooLarge { len: u64::MAX, max: 100 }));
        let wider = [&[0xff; 9][..], &[2]].concat();
        let wider = Varint::new().scan(&wider, 0, 100);
        assert!(matches!(wider, Err(DecodeError::Malformed { what }) if what.contains("64")), "{wider:?}");
    }

    #[test]
    fn the_policy_decides_what_an_overlong_length_is() {
        let overlong = b"\x81\x80\x00x";
        assert!(matches!(Varint::new().scan(overlong, 0, 100), Err(DecodeError::Malformed { .. })));
        let lenient = Varint::new().overlong(Overlong::Accept);
        assert_eq!(lenient.scan(overlong, 0, 100), Ok(Scan::Frame { payload: 3..4, end: 4 }));
    }
}
