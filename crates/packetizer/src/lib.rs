//! Which reply answers which request, for any protocol.
//!
//! A connection carries many requests at once, and something has to know which reply belongs to which request. It is
//! easy to get this almost right. Then a caller gives up and its late reply goes to the next caller, or a ping is
//! answered out of turn, or the connection drops and half of the callers wait forever while the other half repeat
//! requests that were already executed. This crate gets it right once, for any protocol:
//!
//! | item | what it handles | what it leaves to you |
//! |---|---|---|
//! | [`Protocol`], [`Call`] | what one protocol's frames mean | everything else |
//! | [`Mux`] | order, lanes, tags, deadlines, cancellation, what was sent, moving to a new connection | bytes on a wire, clocks, tasks |
//! | `Driver`, `Handle`, `drive` (feature `tokio`) | one stream, one task, many callers | when to ping, when to give up, when to reconnect |
//! | `Service` (feature `tower`) | a handle as a `tower::Service` | everything else |
//!
//! These rules hold whatever the peer does and whichever futures are dropped:
//!
//! - Requests go out in the order of the calls. The order is fixed when the call is made, not when its future is first polled.
//!   Only calls that ask for it ([`Urgency`]) go before others.
//! - A reply answers the request that its lane or its tag names ([`Route`]). A peer that breaks this rule causes a [`Fault`], and
//!   the connection ends.
//! - Every matched reply is settled: it updates the state of the session even if its call was cancelled. Decoding happens in the
//!   caller's own future and holds no lock.
//! - A call that reaches its deadline before any byte of it was written is withdrawn and never sent.
//! - Every call ends exactly once. If the connection ends first, the error says whether the peer can have executed the request:
//!   [`Error::NeverSent`] or [`Error::MaybeExecuted`].
//! - Everything that waits is bounded ([`Limits`]), and memory depends on the number of pending calls, not on the number made.
//!
//! # Example
//!
//! A protocol that numbers its requests in the first byte, driven by hand:
//!
//! ```
//! use bytes::{Buf, BufMut, Bytes, BytesMut};
//! use frame_codec::LengthPrefixed;
//! use packetizer::{Call, Class, ClassOf, Limits, Mux, Output, Protocol, Route, Ticket, TicketOf};
//!
//! struct Numbered(u8);
//!
//! impl Protocol for Numbered {
//!     type Lane = ();
//!     type Tag = u8;
//!     type Context = ();
//!     type Event = ();
//!     type Error = std::str::Utf8Error;
//!
//!     fn classify(&mut self, frame: &[u8]) -> Result<ClassOf<Self>, Self::Error> {
//!         // In any order: the number alone says which request this answers.
//!         Ok(Class::Reply(Route::Tag(frame.first().copied().unwrap_or(0))))
//!     }
//! }
//!
//! struct Ask(&'static str);
//!
//! impl Call for Ask {
//!     type Protocol = Numbered;
//!     type Reply = String;
//!
//!     fn encode(&self, numbered: &mut Numbered, frame: &mut BytesMut) -> Result<TicketOf<Numbered>, std::str::Utf8Error> {
//!         numbered.0 = numbered.0.wrapping_add(1);
//!         frame.put_u8(numbered.0);
//!         frame.put_slice(self.0.as_bytes());
//!         Ok(Ticket { route: Route::Tag(numbered.0), context: () })
//!     }
//!
//!     fn decode((): (), mut frame: Bytes) -> Result<String, std::str::Utf8Error> {
//!         frame.advance(1);
//!         std::str::from_utf8(&frame).map(str::to_owned)
//!     }
//! }
//!
//! let mut mux = Mux::new(LengthPrefixed::new(1, frame_codec::ByteOrder::BigEndian), Numbered(0), Limits::default());
//! let impatient = mux.request(&Ask("how many?"), "first caller").unwrap();
//! mux.request(&Ask("and where?"), "second caller").unwrap();
//! let written = mux.poll_transmit().unwrap();
//! assert_eq!(written, &b"\x0a\x01how many?\x0b\x02and where?"[..]);
//! mux.handle_written(written.len());
//!
//! mux.cancel(impatient);
//! mux.handle_frame(Bytes::from_static(b"\x02in the river")).unwrap();
//! mux.handle_frame(Bytes::from_static(b"\x01three")).unwrap(); // too late: discarded, and the next reply still matches
//! let Some(Output::Answer { waiter, result: Ok(reply) }) = mux.poll_output() else { panic!() };
//! assert_eq!((waiter, reply.decode::<Ask>().unwrap()), ("second caller", "in the river".to_owned()));
//! assert_eq!(mux.report().late, 1);
//! ```
//!
//! # What this crate is not
//!
//! It does not split bytes into frames (`frame-codec` does), implements no protocol, opens no connection, and never sends a
//! request twice: only the caller knows whether a request may be repeated.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `tokio` | `Driver`, `Detached`, `Handle`, `Pending` and `drive`: the loop that owns a stream, and calls as futures |
//! | `tower` | `Service`: a `tower::Service` over a handle |

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

#[cfg(feature = "tokio")]
mod drive;
mod error;
mod limits;
mod mux;
mod options;
mod outbox;
mod protocol;
mod report;

/// The framings are part of this crate's interface.
pub use frame_codec;

#[cfg(feature = "tower")]
pub use drive::Service;
#[cfg(feature = "tokio")]
pub use drive::{Detached, Driver, End, Handle, Pending, Progress, Step, drive};
pub use error::{Error, Fault};
pub use limits::Limits;
pub use mux::{CallId, Mux, Output, Reply, ReplyResult};
pub use options::{Options, Unsent, Urgency};
pub use protocol::{
    Call, Class, ClassOf, ContextOf, ErrorOf, Matched, Protocol, Route, RouteOf, Skip, Ticket, TicketOf,
};
pub use report::Report;
