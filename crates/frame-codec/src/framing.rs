//! Message boundaries: where a frame ends, and what surrounds a payload.

use std::{fmt, ops::Range, sync::Arc};

use crate::{DecodeError, EncodeError};

mod decimal;
mod delimited;
mod fixed;
mod length_prefixed;
mod netstring;
mod octet_count;
mod raw;
mod syslog;
mod until_eof;
mod varint;
mod whole;

pub use delimited::{Delimited, Unterminated};
pub use fixed::Fixed;
pub use length_prefixed::{ByteOrder, LengthPrefixed};
pub use netstring::Netstring;
pub use octet_count::OctetCount;
pub use raw::Raw;
pub use syslog::Syslog;
pub use until_eof::UntilEof;
pub use varint::{Overlong, Varint};
pub use whole::Whole;

/// A rule that says where one message ends and the next begins.
///
/// A framing is a pure function: it owns no buffer and keeps no state. One value therefore serves any number of
/// connections, and any split of the bytes gives the same frames. [`Decoder`](crate::Decoder) and
/// [`Encoder`](crate::Encoder) add the buffers and the limits.
///
/// # Laws
///
/// For any `max_payload`, and any implementation:
///
/// - *Prefix closure*: if `scan` finds a frame that ends at `end`, it returns `More` for every strict prefix of those
///   bytes. [`Raw`] and [`Whole`] are exceptions: their frames are whatever arrived.
/// - *Round trip*: scanning a payload in its [`envelope`](Self::envelope) returns the payload.
/// - *Progress*: `More::at_least` is greater than the length that was scanned.
/// - No input causes a panic.
pub trait Framing: fmt::Debug {
    /// Looks for the first frame in `unread`.
    ///
    /// `scanned` comes from the previous [`Scan::More`] for the same bytes, or is 0: that many bytes need not be
    /// searched again. A frame with a payload longer than `max_payload` is an error as soon as that is known.
    ///
    /// # Errors
    ///
    /// [`DecodeError::FrameTooLarge`] or [`DecodeError::Malformed`]: the peer broke the framing, and the stream cannot be resumed.
    fn scan(&self, unread: &[u8], scanned: usize, max_payload: usize) -> Result<Scan, DecodeError>;

    /// Decides what `unread` is if nothing follows: a last frame, or (the default) a truncated frame.
    ///
    /// Called after [`scan`](Self::scan) returned [`Scan::More`] and the stream ended normally, never after a reset.
    /// Returning `Scan::More` means that these bytes are an incomplete frame.
    ///
    /// # Errors
    ///
    /// See [`scan`](Self::scan).
    fn at_eof(&self, unread: &[u8], max_payload: usize) -> Result<Scan, DecodeError> {
        let _ = max_payload;
        Ok(Scan::More { at_least: unread.len().saturating_add(1), scanned: unread.len() })
    }

    /// Whether frames normally end with the stream, as with [`UntilEof`]. If not, a frame that [`at_eof`](Self::at_eof)
    /// finds is marked as [unterminated](crate::Decoder::is_unterminated).
    fn ends_at_eof(&self) -> bool {
        false
    }

    /// How many bytes at the front of `unread` are between frames and belong to none: 0, unless the framing has such
    /// bytes. [`scan`](Self::scan) skips them too.
    fn padding(&self, unread: &[u8]) -> usize {
        let _ = unread;
        0
    }

    /// How to skip the frame at the front of `unread`, which [`scan`](Self::scan) or [`at_eof`](Self::at_eof) found to
    /// be too large. Called only if [`Oversize`](crate::Oversize) requires it.
    ///
    /// # Errors
    ///
    /// See [`scan`](Self::scan).
    fn oversized(&self, unread: &[u8]) -> Result<Oversized, DecodeError> {
        let _ = unread;
        Ok(Oversized::Unknown)
    }

    /// Where a frame ends after its beginning was dropped, if [`oversized`](Self::oversized) returned
    /// [`Open`](Oversized::Open). `rest` is a later part of its payload and what follows. Bytes that `More` reports as
    /// scanned are dropped.
    ///
    /// # Errors
    ///
    /// See [`scan`](Self::scan).
    fn resume(&self, rest: &[u8]) -> Result<Scan, DecodeError> {
        self.scan(rest, 0, usize::MAX)
    }

    /// The bytes that go before and after `payload` on the wire.
    ///
    /// # Errors
    ///
    /// [`EncodeError::PayloadTooLarge`], [`EncodeError::WrongLength`] or [`EncodeError::EmptyPayload`] if the framing cannot express the
    /// length; [`EncodeError::DelimiterInPayload`] if the payload would be read as two frames.
    fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, EncodeError>;
}

/// The result of scanning unread bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scan {
    /// A complete frame.
    Frame {
        /// Where its payload is in the scanned bytes.
        payload: Range<usize>,
        /// Where the next frame begins.
        end: usize,
    },
    /// No complete frame yet.
    More {
        /// A frame needs at least this many unread bytes.
        at_least: usize,
        /// This many bytes were searched and need not be searched again.
        scanned: usize,
    },
}

/// How a frame that is too large continues, as far as its beginning shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oversized {
    /// Its beginning does not show it yet: call again when more bytes have arrived.
    More,
    /// The frame declares its length.
    Declared {
        /// Where the payload begins.
        start: usize,
        /// Bytes of payload.
        len: u64,
        /// What must follow the payload.
        tail: &'static [u8],
    },
    /// The frame continues until a delimiter, which [`Framing::resume`] finds, or until the end of the stream.
    Open {
        /// Where the payload begins.
        start: usize,
    },
    /// The framing does not support skipping: the error is final.
    Unknown,
}

/// What surrounds a payload on the wire: a computed head and a constant tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Goes before the payload.
    pub head: Head,
    /// Goes after the payload.
    pub tail: &'a [u8],
}

impl Envelope<'_> {
    /// Nothing before, nothing after.
    pub const NONE: Self = Self { head: Head::EMPTY, tail: &[] };
}

/// A short header, held inline: at most [`Head::MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl Head {
    /// The longest header: 23 bytes, enough for any decimal or binary length with its punctuation.
    pub const MAX: usize = 23;

    /// No header.
    pub const EMPTY: Self = Self { bytes: [0; Self::MAX], len: 0 };

    /// A header of these bytes; `None` if there are more than [`Head::MAX`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut head = Self::EMPTY;
        head.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        head.len = u8::try_from(bytes.len()).ok()?;
        Some(head)
    }

    /// The first `len` of these bytes. On the path of every message, so it must compile to few instructions.
    #[inline]
    pub(crate) const fn from_word(word: [u8; 8], len: u8) -> Self {
        debug_assert!(len <= 8, "a word has eight bytes");
        let [a, b, c, d, e, f, g, h] = word;
        let mut head = Self::EMPTY;
        head.bytes = [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        head.len = len;
        head
    }

    /// The header, padded with zeros to the length of the longest.
    #[inline]
    pub(crate) const fn padded(&self) -> &[u8; Self::MAX] {
        &self.bytes
    }

    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }
}

impl AsRef<[u8]> for Head {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Forwards to the framing behind a pointer, so that `Arc<dyn Framing>` chosen at run time is a `Framing` too.
macro_rules! forward_framing {
    ($($pointer:ty),+) => {$(
        impl<F: Framing + ?Sized> Framing for $pointer {
            fn scan(&self, unread: &[u8], scanned: usize, max_payload: usize) -> Result<Scan, DecodeError> {
                (**self).scan(unread, scanned, max_payload)
            }

            fn at_eof(&self, unread: &[u8], max_payload: usize) -> Result<Scan, DecodeError> {
                (**self).at_eof(unread, max_payload)
            }

            fn ends_at_eof(&self) -> bool {
                (**self).ends_at_eof()
            }

            fn padding(&self, unread: &[u8]) -> usize {
                (**self).padding(unread)
            }

            fn oversized(&self, unread: &[u8]) -> Result<Oversized, DecodeError> {
                (**self).oversized(unread)
            }

            fn resume(&self, rest: &[u8]) -> Result<Scan, DecodeError> {
                (**self).resume(rest)
            }

            fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
                (**self).envelope(payload)
            }
        }
    )+};
}

forward_framing!(&F, Box<F>, Arc<F>);
