//! Frames that begin with their length.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use byteorder::{BigEndian, ByteOrder as _, LittleEndian};

use super::{Envelope, Framing, Head, Scan};
use crate::Error;

/// Which end of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// Most significant byte first, the order of network protocols.
    BigEndian,
    /// Least significant byte first.
    LittleEndian,
}

/// A binary length of 1 to 8 bytes, then that many bytes of payload.
///
/// ```
/// use frame_codec::{Framing, LengthPrefixed, Scan};
///
/// let framing = LengthPrefixed::u32_be();
/// let scan = framing.scan(b"\0\0\0\x02hi...", 0, 1024)?;
/// assert_eq!(scan, Scan::Frame { payload: 4..6, end: 6 });
/// # Ok::<(), frame_codec::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthPrefixed {
    width: u8,
    order: ByteOrder,
    inclusive: bool,
}

impl LengthPrefixed {
    /// Four bytes, big-endian, not counting themselves: the framing of ZooKeeper, Kafka and many others.
    #[must_use]
    pub const fn u32_be() -> Self {
        Self { width: 4, order: ByteOrder::BigEndian, inclusive: false }
    }

    /// A length field of `width` bytes in the given order, not counting itself.
    ///
    /// # Panics
    ///
    /// If `width` is not in `1..=8`.
    #[must_use]
    pub const fn new(width: u8, order: ByteOrder) -> Self {
        assert!(width >= 1 && width <= 8, "a length field has 1 to 8 bytes");
        Self { width, order, inclusive: false }
    }

    /// Makes the length count its own field as well as the payload.
    #[must_use]
    pub const fn inclusive(mut self) -> Self {
        self.inclusive = true;
        self
    }

    const fn width(&self) -> usize {
        self.width as usize
    }

    /// What the length field says more than the payload's length.
    const fn surplus(&self) -> u64 {
        if self.inclusive { self.width as u64 } else { 0 }
    }

    /// The largest number the length field holds.
    const fn largest(&self) -> u64 {
        u64::MAX >> (64_u32.saturating_sub((self.width as u32).saturating_mul(8)))
    }
}

impl Framing for LengthPrefixed {
    #[inline]
    fn scan(&self, unread: &[u8], _scanned: usize, max_payload: usize) -> Result<Scan, Error> {
        let width = self.width();
        let Some(field) = unread.get(..width) else {
            return Ok(Scan::More { at_least: width, scanned: 0 });
        };
        let said = match self.order {
            ByteOrder::BigEndian => BigEndian::read_uint(field, width),
            ByteOrder::LittleEndian => LittleEndian::read_uint(field, width),
        };
        let Some(len) = said.checked_sub(self.surplus()) else {
            return Err(Error::Malformed { what: "the length is smaller than the length field it counts" });
        };
        let len = match usize::try_from(len) {
            Ok(payload) if payload <= max_payload => payload,
            _ => {
                return Err(Error::FrameTooLarge { len, max: max_payload });
            }
        };
        let end = width.saturating_add(len);
        if unread.len() < end {
            return Ok(Scan::More { at_least: end, scanned: 0 });
        }
        Ok(Scan::Frame { payload: width..end, end })
    }

    #[inline]
    fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, Error> {
        let too_large = || Error::PayloadTooLarge {
            len: payload.len(),
            max: usize::try_from(self.largest().saturating_sub(self.surplus())).unwrap_or(usize::MAX),
        };
        let said = (payload.len() as u64)
            .checked_add(self.surplus())
            .filter(|said| *said <= self.largest())
            .ok_or_else(too_large)?;
        let mut field = [0; 8];
        let width = self.width();
        match self.order {
            ByteOrder::BigEndian => BigEndian::write_uint(&mut field, said, width),
            ByteOrder::LittleEndian => LittleEndian::write_uint(&mut field, said, width),
        }
        let head = field.get(..width).and_then(Head::new).expect("a length field is shorter than the longest head");
        Ok(Envelope { head, tail: &[] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_over_the_limit_is_refused_at_its_header() {
        let framing = LengthPrefixed::u32_be();
        assert_eq!(framing.scan(&[0xff; 4], 0, 100), Err(Error::FrameTooLarge { len: 0xffff_ffff, max: 100 }));
        assert_eq!(framing.scan(&[0, 0, 0, 101], 0, 100), Err(Error::FrameTooLarge { len: 101, max: 100 }));
        assert_eq!(framing.scan(&[0, 0, 0, 100], 0, 100), Ok(Scan::More { at_least: 104, scanned: 0 }));
    }

    #[test]
    fn an_eight_byte_length_of_all_ones_neither_overflows_nor_allocates() {
        let framing = LengthPrefixed::new(8, ByteOrder::LittleEndian).inclusive();
        let refused = framing.scan(&[0xff; 16], 0, usize::MAX - 100);
        assert_eq!(refused, Err(Error::FrameTooLarge { len: u64::MAX - 8, max: usize::MAX - 100 }));
    }

    #[test]
    fn an_inclusive_length_below_its_own_width_is_malformed() {
        let framing = LengthPrefixed::new(8, ByteOrder::LittleEndian).inclusive();
        let scan = framing.scan(&5_u64.to_le_bytes(), 0, 100);
        assert!(matches!(scan, Err(Error::Malformed { .. })), "{scan:?}");
    }

    #[test]
    fn a_payload_that_the_length_field_cannot_express_is_refused() {
        let framing = LengthPrefixed::new(1, ByteOrder::BigEndian).inclusive();
        assert!(framing.envelope(&[0; 254]).is_ok());
        assert_eq!(framing.envelope(&[0; 255]), Err(Error::PayloadTooLarge { len: 255, max: 254 }));
    }
}
