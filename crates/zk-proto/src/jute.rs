//! Jute, ZooKeeper's encoding: big-endian integers, four-byte lengths, fields in order without padding.
//!
//! | type | on the wire |
//! |---|---|
//! | int, long | 4, 8 bytes, big-endian two's complement |
//! | boolean | 1 byte; any value but 0 is true |
//! | buffer | int length, bytes; −1 is null, which is not the same as empty |
//! | ustring | int length in bytes, text; −1 is null |
//! | vector | int count, elements; −1 is null |
//!
//! Bytes after the end of a record are ignored, as every server and client does: newer peers append fields.
//!
//! **Text.** Java encodes each character outside the Basic Multilingual Plane as two surrogates of three bytes. We join
//! these when reading. Anything else that is not UTF-8 is an error, and we never replace it: a silently changed name
//! would name another node, or admit another user.

use std::borrow::Cow;

use byteorder::{BigEndian, ByteOrder as _};
use bytes::BufMut;

use crate::error::Error;

mod field;

pub(crate) use field::{Field, record_field, records};

/// One record of the protocol.
///
/// A decoded record borrows its texts and buffers from the frame; `'a` is the lifetime of that frame.
pub trait Record<'a>: Sized {
    /// Appends the record.
    ///
    /// # Panics
    ///
    /// If a text, buffer or list has more than `i32::MAX` bytes or elements. No server accepts a frame of even a
    /// hundredth of that. If you pass on data of unknown size, check the size first.
    fn encode(&self, out: &mut impl BufMut);

    /// Reads the record.
    ///
    /// # Errors
    ///
    /// If the bytes are not such a record. No input causes a panic. Memory is allocated for the bytes that arrived,
    /// never for what a length claims.
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error>;

    /// Encodes the record into a new vector.
    ///
    /// # Panics
    ///
    /// The same as [`encode`](Self::encode).
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Decodes a record from the start of `bytes` and ignores the rest.
    ///
    /// # Errors
    ///
    /// The same as [`decode`](Self::decode).
    fn from_bytes(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::decode(&mut Reader::new(bytes))
    }
}

/// Reads fields in sequence. The field names that you pass appear in errors only.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of the slice.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The number of bytes not read yet.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Takes `len` raw bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`].
    pub fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], Error> {
        let truncated = Error::Truncated { field, needed: len, left: self.rest.len() };
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads a boolean.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`].
    pub fn boolean(&mut self, field: &'static str) -> Result<bool, Error> {
        Ok(self.take(field, 1)?.iter().any(|byte| *byte != 0))
    }

    /// Reads a 32-bit integer.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`].
    pub fn int(&mut self, field: &'static str) -> Result<i32, Error> {
        self.take(field, 4).map(BigEndian::read_i32)
    }

    /// Reads a 64-bit integer.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`].
    pub fn long(&mut self, field: &'static str) -> Result<i64, Error> {
        self.take(field, 8).map(BigEndian::read_i64)
    }

    /// Reads a buffer, or null.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] or [`Error::NegativeLength`].
    pub fn buffer(&mut self, field: &'static str) -> Result<Option<&'a [u8]>, Error> {
        match self.int(field)? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| Error::NegativeLength { field, len })?;
                self.take(field, len).map(Some)
            }
        }
    }

    /// Reads text; null is an error.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`], [`Error::NegativeLength`], [`Error::Null`] or [`Error::Text`].
    pub fn text(&mut self, field: &'static str) -> Result<Cow<'a, str>, Error> {
        let bytes = self.buffer(field)?.ok_or(Error::Null { field })?;
        text(field, bytes)
    }

    /// Reads text, or null.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`], [`Error::NegativeLength`] or [`Error::Text`].
    pub fn nullable_text(&mut self, field: &'static str) -> Result<Option<Cow<'a, str>>, Error> {
        self.buffer(field)?.map(|bytes| text(field, bytes)).transpose()
    }

    /// Reads the number of elements of a list, or null. `smallest` is the minimum number of bytes that an element
    /// takes: a count that the remaining bytes cannot hold is an error.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`], [`Error::NegativeLength`] or [`Error::Count`].
    pub fn count(&mut self, field: &'static str, smallest: usize) -> Result<Option<usize>, Error> {
        let count = self.int(field)?;
        if count == -1 {
            return Ok(None);
        }
        let left = self.left();
        let len = usize::try_from(count).map_err(|_| Error::NegativeLength { field, len: count })?;
        if len.saturating_mul(smallest.max(1)) > left {
            return Err(Error::Count { field, count, left });
        }
        Ok(Some(len))
    }

    /// Reads a list, or null. The initial allocation is no more than the remaining bytes would fill, whatever count the
    /// list claims and however small its elements are on the wire.
    ///
    /// # Errors
    ///
    /// The same as [`count`](Self::count), and any error of `element`.
    pub fn vector<T>(
        &mut self,
        field: &'static str,
        smallest: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let Some(len) = self.count(field, smallest)? else { return Ok(None) };
        let room = self.left().checked_div(size_of::<T>()).unwrap_or(len);
        let mut elements = Vec::with_capacity(len.min(room));
        for _ in 0..len {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }
}

/// Decodes UTF-8, or UTF-8 in which surrogate pairs were encoded one by one (CESU-8).
pub(crate) fn text<'a>(field: &'static str, bytes: &'a [u8]) -> Result<Cow<'a, str>, Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(error) => join_surrogates(bytes).map(Cow::Owned).ok_or(Error::Text { field, at: error.valid_up_to() }),
    }
}

/// Joins the surrogate pairs in otherwise valid UTF-8; `None` if anything else is wrong.
fn join_surrogates(mut bytes: &[u8]) -> Option<String> {
    let mut joined = String::with_capacity(bytes.len());
    loop {
        match std::str::from_utf8(bytes) {
            Ok(rest) => {
                joined.push_str(rest);
                return Some(joined);
            }
            Err(error) => {
                let (good, bad) = bytes.split_at_checked(error.valid_up_to())?;
                joined.push_str(std::str::from_utf8(good).ok()?);
                let (pair, rest) = bad.split_at_checked(6)?;
                let [0xed, a @ 0xa0..=0xaf, b @ 0x80..=0xbf, 0xed, c @ 0xb0..=0xbf, d @ 0x80..=0xbf] = *pair else {
                    return None;
                };
                // The low bits that each byte of a surrogate carries: 4 + 6 in the first, 4 + 6 in the second.
                let bits = |byte: u8, mask: u8, shift: u32| u32::from(byte & mask) << shift;
                let offset = bits(a, 0x0f, 16) | bits(b, 0x3f, 10) | bits(c, 0x0f, 6) | bits(d, 0x3f, 0);
                joined.push(char::from_u32(offset.checked_add(0x1_0000)?)?);
                bytes = rest;
            }
        }
    }
}

pub(crate) fn put_boolean(out: &mut impl BufMut, value: bool) {
    out.put_u8(u8::from(value));
}

pub(crate) fn put_int(out: &mut impl BufMut, value: i32) {
    let mut bytes = [0; 4];
    BigEndian::write_i32(&mut bytes, value);
    out.put_slice(&bytes);
}

pub(crate) fn put_long(out: &mut impl BufMut, value: i64) {
    let mut bytes = [0; 8];
    BigEndian::write_i64(&mut bytes, value);
    out.put_slice(&bytes);
}

pub(crate) fn put_len(out: &mut impl BufMut, len: usize) {
    put_int(out, i32::try_from(len).expect("no field exceeds i32::MAX: a documented precondition of encode"));
}

pub(crate) fn put_buffer(out: &mut impl BufMut, buffer: Option<&[u8]>) {
    match buffer {
        None => put_int(out, -1),
        Some(bytes) => {
            put_len(out, bytes.len());
            out.put_slice(bytes);
        }
    }
}

pub(crate) fn put_text(out: &mut impl BufMut, text: &str) {
    put_buffer(out, Some(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(bytes: &[u8]) -> Result<String, Error> {
        text("name", bytes).map(Cow::into_owned)
    }

    #[test]
    fn null_and_empty_are_not_the_same() {
        let mut out = Vec::new();
        put_buffer(&mut out, None);
        put_buffer(&mut out, Some(b""));
        assert_eq!(out, [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        let mut reader = Reader::new(&out);
        assert_eq!(reader.buffer("data"), Ok(None));
        assert_eq!(reader.buffer("data"), Ok(Some(&b""[..])));
        assert_eq!(Reader::new(&out).text("path"), Err(Error::Null { field: "path" }));
    }

    #[test]
    fn any_byte_but_zero_is_true() {
        assert_eq!(Reader::new(&[2]).boolean("watch"), Ok(true));
        assert_eq!(Reader::new(&[0]).boolean("watch"), Ok(false));
        assert!(Reader::new(&[]).boolean("watch").is_err());
    }

    #[test]
    fn impossible_lengths_are_rejected_without_allocating() {
        for len in [-2, i32::MIN] {
            assert_eq!(
                Reader::new(&len.to_be_bytes()).buffer("data"),
                Err(Error::NegativeLength { field: "data", len })
            );
        }
        assert_eq!(
            Reader::new(&i32::MAX.to_be_bytes()).buffer("data"),
            Err(Error::Truncated { field: "data", needed: i32::MAX as usize, left: 0 })
        );
        let count = |bytes: &[u8]| Reader::new(bytes).vector("children", 4, |r| r.int("child"));
        assert_eq!(count(&i32::MAX.to_be_bytes()), Err(Error::Count { field: "children", count: i32::MAX, left: 0 }));
        assert!(matches!(count(&(-2_i32).to_be_bytes()), Err(Error::NegativeLength { .. })));
        assert_eq!(count(&(-1_i32).to_be_bytes()), Ok(None), "null is not an empty list");
        assert_eq!(count(&[0, 0, 0, 0]), Ok(Some(vec![])));
        assert_eq!(count(&[0, 0, 0, 1, 0, 0, 0, 7]), Ok(Some(vec![7])));
        assert!(matches!(count(&[0, 0, 0, 2, 0, 0, 0, 7]), Err(Error::Count { count: 2, left: 4, .. })));
    }

    #[test]
    fn surrogate_pairs_written_by_java_are_joined() {
        let java = [b"a ".as_slice(), &[0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80], b" b"].concat();
        assert_eq!(read_text(&java).unwrap(), "a \u{1f600} b");
        let twice = [&java[..], &java[..]].concat();
        assert_eq!(read_text(&twice).unwrap(), "a \u{1f600} ba \u{1f600} b");
        assert_eq!(read_text("é 😀".as_bytes()).unwrap(), "é 😀");
        // The corners of the surrogate ranges.
        assert_eq!(read_text(&[0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80]).unwrap(), "\u{10000}");
        assert_eq!(read_text(&[0xed, 0xaf, 0xbf, 0xed, 0xbf, 0xbf]).unwrap(), "\u{10ffff}");
    }

    #[test]
    fn other_bytes_are_not_guessed_at() {
        let bad: [&[u8]; 6] = [
            &[0xff],
            &[b'a', 0xc3],
            &[0xed, 0xa0, 0xbd],                               // a high surrogate alone
            &[0xed, 0xb8, 0x80, 0xed, 0xa0, 0xbd],             // the wrong way round
            &[0xed, 0xa0, 0xbd, 0xed, 0xa0, 0xbd],             // two high ones
            &[0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80, 0xff, b'x'], // a good pair, then not
        ];
        for bytes in bad {
            assert!(matches!(read_text(bytes), Err(Error::Text { field: "name", .. })), "{bytes:x?}");
        }
    }
}
