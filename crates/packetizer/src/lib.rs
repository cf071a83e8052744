//! Which reply answers which request, for any protocol.
//!
//! A connection carries many requests at once, and something has to know which reply is whose. It is easy to get almost
//! right: until a caller gives up and its late reply goes to the next one, until a ping is answered out of turn, until the
//! connection drops and half of the callers wait forever while the other half repeat what had already been done. This crate
//! does it once, for any protocol:
//!
//! | part | what it knows | what it leaves to others |
//! |---|---|---|
//! | [`Protocol`], [`Call`] | what one protocol's frames mean | everything else |
//! | [`Mux`] | order, lanes, tags, deadlines, cancellation, what was sent, one connection after the other | bytes on a wire, clocks, tasks |
//! | `Driver`, `Handle`, `drive` (feature `tokio`) | one stream, one task, many callers | when to ping, when to give up, when to reconnect |
//! | `Service` (feature `tower`) | a handle as a `tower::Service` | everything else |
//!
//! It keeps these laws, whatever the peer does and whichever futures are dropped:
//!
//! - The order of requests is the order of calls: it is fixed when the call is made, not when its future is first polled.
//!   Only calls that ask for it ([`Urgency`]) go before others.
//! - A reply answers the request that its lane or its tag names ([`Route`]). A peer that breaks this is given up with a
//!   [`Fault`], never followed.
//! - Every matched reply is settled: it moves the state of the session also when its call was cancelled. Decoding is the
//!   caller's, in its own future, and holds no lock.
//! - A call whose deadline has passed before a byte of it was written is withdrawn and never sent.
//! - Every call ends exactly once, and when the connection ends, it says whether the peer can have executed the request:
//!   [`Error::NeverSent`] or [`Error::MaybeExecuted`].
//! - Everything that waits is bounded ([`Limits`]), and memory follows the calls that wait, not those that were made.
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
//! mux.handle_frame(Bytes::from_static(b"\x01three")).unwrap(); // too late: thrown away, and nothing is out of step
//! let Some(Output::Answer { waiter, result: Ok(reply) }) = mux.poll_output() else { panic!() };
//! assert_eq!((waiter, reply.decode::<Ask>().unwrap()), ("second caller", "in the river".to_owned()));
//! assert_eq!(mux.report().late, 1);
//! ```
//!
//! # What this crate is not
//!
//! It does not cut frames out of bytes (that is `frame-codec`), knows no protocol of its own, opens no connection, and never
//! sends anything twice: whether a request may be repeated is for the caller to know.
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

/// The framings, which are part of this crate's interface.
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
