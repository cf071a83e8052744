//! Split bytes into messages.
//!
//! A stream socket carries bytes; programs want messages. This crate finds where one message ends and the next begins, in
//! whatever pieces the bytes arrive. Memory is bounded, and each step handles many messages:
//!
//! ```text
//!            ┌─────────┐   room / feed   ┌─────────┐  next_batch  ┌───────┐
//!   stream ─▶│  read   │ ──────────────▶ │ Decoder │ ───────────▶ │ Batch │──▶ &[u8] &[u8] &[u8] …
//!            └─────────┘                 └────┬────┘              └───────┘
//!                                         Framing: a pure scan, no state
//!            ┌─────────┐    io_slices    ┌────┴────┐     push
//!   stream ◀─│  write  │ ◀────────────── │ Encoder │ ◀───────────── &[u8], Bytes
//!            └─────────┘     consume     └─────────┘
//! ```
//!
//! ```
//! use frame_codec::{Decoder, LengthPrefixed, Limits};
//!
//! let mut decoder = Decoder::new(LengthPrefixed::u32_be(), Limits::default());
//! for piece in [&b"\0\0\0\x05he"[..], b"llo\0\0", b"\0\x01!\0"] {
//!     decoder.feed(piece);
//!     while let Some(batch) = decoder.next_batch()? {
//!         for frame in &batch {
//!             println!("{}", frame.escape_ascii()); // "hello", then "!"
//!         }
//!     }
//! }
//! assert_eq!(decoder.truncated_len(), 1); // the stream stopped inside a header
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | framing | on the wire | an incomplete frame at the end of the stream |
//! |---|---|---|
//! | [`LengthPrefixed`] | a binary length of 1–8 bytes, in front or inside a header, then the payload | is truncated |
//! | [`Varint`] | a length of 1–10 bytes in base 128 (Protocol Buffers), then the payload | is truncated |
//! | [`Delimited`] | the payload, then a byte or byte string: lines, NUL | is delivered (or truncated, by choice) |
//! | [`OctetCount`] | `LENGTH SPACE` and the payload (syslog, RFC 6587) | is truncated |
//! | [`Syslog`] | octet counts, newlines and NULs mixed, as syslog senders do | is delivered |
//! | [`Netstring`] | `LENGTH:` the payload and a comma | is truncated |
//! | [`Fixed`] | the payload; all payloads have the same length | is truncated |
//! | [`UntilEof`] | the payload, up to the end of the stream | is the frame |
//! | [`Whole`] | the payload; each receive is one frame (datagrams) | – |
//! | [`Raw`] | the payload; a frame is whatever arrived together | – |
//!
//! To add your own framing, implement [`Framing`]; the module `testing` (feature `proptest`) checks its laws.
//!
//! # What this crate is not
//!
//! It does no I/O (except behind features), spawns no task and reads no clock. It does not turn payloads into values: use
//! serde or prost for that.
//!
//! # Features
//!
//! - `tokio`: [`Pump`], the loop that reads while it writes, over any `AsyncRead + AsyncWrite`.
//! - `tokio-util`: [`Codec`], any framing for `tokio_util::codec::Framed`.
//! - `proptest`: the module `testing`, with strategies and law checkers for your own [`Framing`].

#![forbid(unsafe_code)]

/// The README's code, compiled as it is printed.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod batch;
#[cfg(feature = "tokio-util")]
mod codec;
mod decoder;
mod encoder;
mod error;
mod framing;
mod limits;
#[cfg(feature = "tokio")]
mod pump;
#[cfg(feature = "proptest")]
pub mod testing;

#[cfg(feature = "tokio-util")]
pub use crate::codec::Codec;
#[cfg(feature = "tokio")]
pub use crate::pump::{End, Intake, Pump, PumpEvent};
pub use crate::{
    batch::{Batch, BatchBuilder, Frames, IntoFrames},
    decoder::Decoder,
    encoder::{Encoder, Written},
    error::{DecodeError, EncodeError},
    framing::{
        ByteOrder, Delimited, Envelope, Fixed, Framing, Head, LengthPrefixed, Netstring, OctetCount, Overlong,
        Oversized, Raw, Scan, Syslog, Unterminated, UntilEof, Varint, Whole,
    },
    limits::{Limits, Oversize},
};
