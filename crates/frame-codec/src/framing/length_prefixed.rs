//! Frames that begin with or contain their length.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use byteorder::{BigEndian, ByteOrder as _, LittleEndian};

use super::{Envelope, Framing, Head, Oversized, Scan};
use crate::{DecodeError, EncodeError};

/// Which end of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// Most significant byte first, the order of network protocols.
    BigEndian,
    /// Least significant byte first.
    LittleEndian,
}

/// A binary length of 1 to 8 bytes, and then that many bytes.
///
/// ```
/// use frame_codec::{Framing, LengthPrefixed, Scan};
///
/// let framing = LengthPrefixed::u32_be();
/// let scan = framing.scan(b"\0\0\0\x02hi...", 0, 1024)?;
/// assert_eq!(scan, Scan::Frame { payload: 4..6, end: 6 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What the length counts
///
/// By default the bytes behind the length field. With [`inclusive`](Self::inclusive) it counts everything from the
/// first byte of the frame, and with [`adjusted`](Self::adjusted) anything else.
///
/// # Where the length is
///
/// By default in front. Then it is not part of the payload, and the encoder writes it. With [`at`](Self::at) the length
/// is inside the protocol's own header. The bytes before it have a meaning, so a frame is the **whole message, header
/// and length field included**. A payload to be sent must be such a message: the encoder checks its length field and
/// does not write it. Use [`fill_in`](Self::fill_in) to write it.
///
/// ```text
///   new(2, BigEndian)          | length | payload ...... |        length = payload
///   ... .inclusive()           | length | payload ...... |        length = 2 + payload
///   ... .at(3)                 | 3 bytes | length | rest |        length = rest;  payload = all of it
///   ... .at(3).inclusive()     | 3 bytes | length | rest |        length = 5 + rest
///   ... .adjusted(1)           | length | type | value   |        length = value; payload = type and value
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthPrefixed {
    width: u8,
    order: ByteOrder,
    inclusive: bool,
    offset: u16,
    adjustment: i32,
    // These follow from the fields above. They are computed once instead of for every frame.
    /// By how much the number of bytes behind the length field exceeds the length.
    surplus: i64,
    /// The smallest number of bytes behind the length field that it can express.
    fewest: u64,
    /// How many bits the length field is shorter than 64 bits: 0 to 56.
    unused_bits: u32,
    /// The largest number the length field holds.
    largest: u64,
}

impl LengthPrefixed {
    /// Four bytes, big-endian, not counting themselves, as in Kafka, gRPC-like protocols and many others.
    #[must_use]
    pub const fn u32_be() -> Self {
        Self::new(4, ByteOrder::BigEndian)
    }

    /// The framing of ZooKeeper's client protocol: four bytes, big-endian (`BinaryOutputArchive` of its Java sources).
    ///
    /// ZooKeeper's length is signed; a value that ZooKeeper would read as negative is over every limit here.
    #[must_use]
    pub const fn zookeeper() -> Self {
        Self::u32_be()
    }

    /// The framing of Sōzu's command channel on 64-bit machines: eight bytes, little-endian, counting themselves
    /// (`delimiter_size` in `channel.rs` of `sozu-command-lib`).
    #[must_use]
    pub const fn sozu() -> Self {
        Self::new(8, ByteOrder::LittleEndian).inclusive()
    }

    /// A length field of `width` bytes in the given order, at the beginning, not counting itself.
    ///
    /// # Panics
    ///
    /// If `width` is not in `1..=8`.
    #[must_use]
    pub const fn new(width: u8, order: ByteOrder) -> Self {
        assert!(width >= 1 && width <= 8, "a length field has 1 to 8 bytes");
        let unused_bits = 64_u32.saturating_sub((width as u32).saturating_mul(8));
        let largest = u64::MAX >> unused_bits;
        Self { width, order, inclusive: false, offset: 0, adjustment: 0, surplus: 0, fewest: 0, unused_bits, largest }
    }

    /// Computes the fields that follow from the others.
    const fn worked_out(mut self) -> Self {
        let counted = if self.inclusive { self.lead() as i64 } else { 0 };
        self.surplus = (self.adjustment as i64).saturating_sub(counted);
        self.fewest = if self.surplus > 0 { self.surplus.unsigned_abs() } else { 0 };
        self
    }

    /// Makes the length count the whole frame, including its own field and everything before it.
    #[must_use]
    pub const fn inclusive(mut self) -> Self {
        self.inclusive = true;
        self.worked_out()
    }

    /// Sets the byte of the frame at which the length field begins. Frames are then whole messages, see [the
    /// type](Self#where-the-length-is).
    #[must_use]
    pub const fn at(mut self, offset: u16) -> Self {
        self.offset = offset;
        self.worked_out()
    }

    /// Adds this many bytes to the length that the field counts; subtracts if negative.
    #[must_use]
    pub const fn adjusted(mut self, by: i32) -> Self {
        self.adjustment = by;
        self.worked_out()
    }

    /// Writes the length of `message` into its length field, for framings with a length field that is [not in
    /// front](Self::at).
    ///
    /// # Errors
    ///
    /// [`EncodeError::WrongLength`] if the message is shorter than its header; [`EncodeError::PayloadTooLarge`] if the field cannot
    /// hold its length.
    pub fn fill_in(&self, message: &mut [u8]) -> Result<(), EncodeError> {
        let len = message.len();
        let behind =
            len.checked_sub(self.lead()).ok_or(EncodeError::WrongLength { len, expected: self.lead() as u64 })? as u64;
        let said = self.said(behind, len)?;
        let field = message.get_mut(self.offset.into()..self.lead()).expect("the message has its header");
        match self.order {
            ByteOrder::BigEndian => BigEndian::write_uint(field, said, self.width.into()),
            ByteOrder::LittleEndian => LittleEndian::write_uint(field, said, self.width.into()),
        }
        Ok(())
    }

    /// Bytes from the beginning of the frame to the end of its length field.
    #[inline]
    const fn lead(&self) -> usize {
        (self.offset as usize).saturating_add(self.width as usize)
    }

    /// What the length field must contain if `behind` bytes follow it, in a payload of `len` bytes.
    #[inline]
    fn said(&self, behind: u64, len: usize) -> Result<u64, EncodeError> {
        // The size of something in memory plus 32 bits does not overflow; a sum that is too small wraps around.
        let said = behind.wrapping_add_signed(self.surplus.wrapping_neg());
        if behind < self.fewest || said > self.largest {
            return Err(self.unsayable(behind, len));
        }
        Ok(said)
    }

    /// Why the length field cannot express that this many bytes follow it, in a payload of `len` bytes.
    #[cold]
    fn unsayable(&self, behind: u64, len: usize) -> EncodeError {
        // The part of the payload that is not behind the length field: the header, if that belongs to the payload.
        let lead = (len as u64).saturating_sub(behind);
        if behind < self.fewest {
            return EncodeError::WrongLength { len, expected: self.fewest.saturating_add(lead) };
        }
        let max = self.largest.saturating_add_signed(self.surplus).saturating_add(lead);
        EncodeError::PayloadTooLarge { len, max: usize::try_from(max).unwrap_or(usize::MAX) }
    }

    /// The number in the length field of a frame that begins with `bytes`.
    #[inline]
    fn read(&self, bytes: &[u8]) -> Option<u64> {
        let from_field = bytes.get(self.offset.into()..)?;
        // There are nearly always eight bytes, and then every width is read in the same way.
        let Some(&word) = from_field.first_chunk() else { return self.read_near_end(from_field) };
        Some(match self.order {
            ByteOrder::BigEndian => u64::from_be_bytes(word).wrapping_shr(self.unused_bits),
            ByteOrder::LittleEndian => u64::from_le_bytes(word) & self.largest,
        })
    }

    /// The same if fewer than eight bytes follow.
    #[cold]
    fn read_near_end(&self, from_field: &[u8]) -> Option<u64> {
        let field = from_field.get(..self.width.into())?;
        Some(match self.order {
            ByteOrder::BigEndian => BigEndian::read_uint(field, field.len()),
            ByteOrder::LittleEndian => LittleEndian::read_uint(field, field.len()),
        })
    }
}

impl Framing for LengthPrefixed {
    #[inline]
    fn scan(&self, unread: &[u8], _scanned: usize, max_payload: usize) -> Result<Scan, DecodeError> {
        let Some((start, len)) = self.payload(unread, max_payload)? else {
            return Ok(Scan::More { at_least: self.lead(), scanned: 0 });
        };
        let len = match usize::try_from(len) {
            Ok(len) if len <= max_payload => len,
            _ => return Err(DecodeError::FrameTooLarge { len, max: max_payload }),
        };
        let end = start.saturating_add(len);
        if unread.len() < end {
            return Ok(Scan::More { at_least: end, scanned: 0 });
        }
        Ok(Scan::Frame { payload: start..end, end })
    }

    fn oversized(&self, unread: &[u8]) -> Result<Oversized, DecodeError> {
        Ok(match self.payload(unread, usize::MAX)? {
            Some((start, len)) => Oversized::Declared { start, len, tail: &[] },
            None => Oversized::More,
        })
    }

    #[inline]
    fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        let len = payload.len();
        if self.offset > 0 {
            return self.check(payload).map(|()| Envelope::NONE);
        }
        let said = self.said(len as u64, len)?;
        let field = match self.order {
            ByteOrder::BigEndian => said.wrapping_shl(self.unused_bits).to_be_bytes(),
            ByteOrder::LittleEndian => said.to_le_bytes(),
        };
        Ok(Envelope { head: Head::from_word(field, self.width), tail: &[] })
    }
}

impl LengthPrefixed {
    /// Where the payload at the front begins and how long it is; `None` if the length has not arrived yet.
    #[inline]
    fn payload(&self, unread: &[u8], max: usize) -> Result<Option<(usize, u64)>, DecodeError> {
        let lead = self.lead();
        let Some(said) = self.read(unread) else { return Ok(None) };
        // The payload begins behind the length field, or with the frame if the header belongs to it.
        let start = if self.offset == 0 { lead } else { 0 };
        let behind = match said.checked_add_signed(self.surplus) {
            Some(behind) => behind,
            None if self.surplus < 0 => {
                return Err(DecodeError::Malformed { what: "the length is smaller than what it counts" });
            }
            None => return Err(DecodeError::FrameTooLarge { len: u64::MAX, max }),
        };
        Ok(Some((start, behind.saturating_add(lead.saturating_sub(start) as u64))))
    }

    /// Checks that `message` contains its own length.
    fn check(&self, message: &[u8]) -> Result<(), EncodeError> {
        let len = message.len();
        let lead = self.lead() as u64;
        let said = self.read(message).ok_or(EncodeError::WrongLength { len, expected: lead })?;
        match said.checked_add_signed(self.surplus).and_then(|behind| behind.checked_add(lead)) {
            Some(whole) if whole == len as u64 => Ok(()),
            _ => Err(self.misstated(said, len)),
        }
    }

    /// How the length that a message of `len` bytes contains is wrong.
    #[cold]
    fn misstated(&self, said: u64, len: usize) -> EncodeError {
        // The length may also put the end before the end of the header, or behind the last byte that can be counted.
        let whole = i128::from(said).saturating_add(self.surplus.into()).saturating_add(self.lead() as i128);
        EncodeError::WrongLength { len, expected: u64::try_from(whole.max(0)).unwrap_or(u64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_over_the_limit_is_rejected_at_its_header() {
        let framing = LengthPrefixed::u32_be();
        assert_eq!(framing.scan(&[0xff; 4], 0, 100), Err(DecodeError::FrameTooLarge { len: 0xffff_ffff, max: 100 }));
        assert_eq!(framing.scan(&[0, 0, 0, 101], 0, 100), Err(DecodeError::FrameTooLarge { len: 101, max: 100 }));
        assert_eq!(framing.scan(&[0, 0, 0, 100], 0, 100), Ok(Scan::More { at_least: 104, scanned: 0 }));
    }

    #[test]
    fn an_eight_byte_length_of_all_ones_neither_overflows_nor_allocates() {
        let error = LengthPrefixed::sozu().scan(&[0xff; 16], 0, usize::MAX - 100);
        assert_eq!(error, Err(DecodeError::FrameTooLarge { len: u64::MAX - 8, max: usize::MAX - 100 }));
        let more = LengthPrefixed::new(8, ByteOrder::BigEndian).adjusted(9);
        let error = more.scan(&[0xff; 16], 0, usize::MAX);
        assert_eq!(error, Err(DecodeError::FrameTooLarge { len: u64::MAX, max: usize::MAX }));
    }

    #[test]
    fn a_length_below_what_it_counts_is_malformed() {
        for short in 0..8_u64 {
            let scan = LengthPrefixed::sozu().scan(&short.to_le_bytes(), 0, 100);
            assert!(matches!(scan, Err(DecodeError::Malformed { .. })), "{short}: {scan:?}");
        }
        let empty = LengthPrefixed::sozu().scan(&8_u64.to_le_bytes(), 0, 100);
        assert_eq!(empty, Ok(Scan::Frame { payload: 8..8, end: 8 }));
    }

    #[test]
    fn a_payload_that_the_length_field_cannot_express_is_rejected() {
        let framing = LengthPrefixed::new(1, ByteOrder::BigEndian).inclusive();
        assert!(framing.envelope(&[0; 254]).is_ok());
        assert_eq!(framing.envelope(&[0; 255]), Err(EncodeError::PayloadTooLarge { len: 255, max: 254 }));
    }

    #[test]
    fn a_length_inside_a_header_gives_the_message_with_its_header() {
        // Type, flags, the length of the whole message, the rest.
        let framing = LengthPrefixed::new(2, ByteOrder::BigEndian).at(2).inclusive();
        let message = b"TF\0\x07abc";
        assert_eq!(framing.scan(&message[..3], 0, 100), Ok(Scan::More { at_least: 4, scanned: 0 }));
        assert_eq!(framing.scan(&message[..4], 0, 100), Ok(Scan::More { at_least: 7, scanned: 0 }));
        assert_eq!(framing.scan(b"TF\0\x07abcTF", 0, 100), Ok(Scan::Frame { payload: 0..7, end: 7 }));
        assert_eq!(framing.scan(message, 0, 6), Err(DecodeError::FrameTooLarge { len: 7, max: 6 }));
        assert_eq!(framing.envelope(message), Ok(Envelope::NONE));
    }

    #[test]
    fn a_message_that_misstates_its_length_is_not_sent() {
        let framing = LengthPrefixed::new(2, ByteOrder::LittleEndian).at(1);
        assert_eq!(framing.envelope(b"T\x02\0ab"), Ok(Envelope::NONE));
        assert_eq!(framing.envelope(b"T\x03\0ab"), Err(EncodeError::WrongLength { len: 5, expected: 6 }));
        assert_eq!(framing.envelope(b"T\x02"), Err(EncodeError::WrongLength { len: 2, expected: 3 }));
        let mut message = *b"T??abcd";
        framing.fill_in(&mut message).unwrap();
        assert_eq!(&message, b"T\x04\0abcd");
        assert_eq!(framing.fill_in(&mut [0; 2]), Err(EncodeError::WrongLength { len: 2, expected: 3 }));
        let narrow = LengthPrefixed::new(1, ByteOrder::LittleEndian).at(1);
        assert_eq!(narrow.fill_in(&mut [0; 258]), Err(EncodeError::PayloadTooLarge { len: 258, max: 257 }));
    }

    #[test]
    fn bytes_that_the_length_does_not_count_belong_to_the_frame() {
        let framing = LengthPrefixed::new(1, ByteOrder::BigEndian).adjusted(1);
        assert_eq!(framing.scan(b"\x02Tab", 0, 100), Ok(Scan::Frame { payload: 1..4, end: 4 }));
        assert_eq!(framing.envelope(b"Tab").unwrap().head.as_ref(), b"\x02");
        assert_eq!(framing.envelope(b""), Err(EncodeError::WrongLength { len: 0, expected: 1 }));
    }
}
