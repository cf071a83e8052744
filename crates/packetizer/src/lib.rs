//! Which reply answers which request, for any protocol.
//!
//! A connection carries many requests at once, and somebody has to know which reply is whose. That is easily
//! got almost right: until a caller gives up and its late reply goes to the next one, until a ping is
//! answered out of turn, until the connection drops and half of the callers wait for ever while the other
//! half repeat what had already been done. This crate is that somebody, once, for any protocol:
//!
//! | part | what it knows | what it leaves to others |
//! |---|---|---|
//! | [`Protocol`], [`Call`] | what one protocol's frames mean | everything else |
//! | [`Mux`] | order, tags, lanes, cancellation, what was sent | bytes on a wire, clocks, tasks |
//! | `Driver`, `Handle`, `drive` (feature `tokio`) | one stream, one task, many callers | when to ping, when to give up |
//!
//! The laws it keeps, whatever the peer does and whichever futures are dropped:
//!
//! - the order of requests is the order of calls: it is fixed when the call is made, not when its future is
//!   first polled;
//! - within a lane the oldest request gets the next reply, and the tags must agree; a peer that breaks this
//!   is given up with a [`Fault`], never followed;
//! - a cancelled call keeps its place, so that its late reply is recognised, counted and thrown away;
//! - every call ends exactly once, and when the connection ends, it says whether the peer can have executed
//!   the request: [`Error::NeverSent`] or [`Error::MaybeExecuted`];
//! - everything that waits is bounded ([`Limits`]).
//!
//! # Example
//!
//! A protocol that numbers its requests in the first byte, driven by hand:
//!
//! ```
//! use packetizer::{Call, Class, Limits, Mux, Output, Protocol, Ticket};
//!
//! struct Numbered(u8);
//!
//! impl Protocol for Numbered {
//!     type Lane = ();
//!     type Tag = u8;
//!     type Context = ();
//!     type Reply = String;
//!     type Event = ();
//!     type Error = std::str::Utf8Error;
//!
//!     fn classify(&mut self, frame: &[u8]) -> Result<Class<(), u8, ()>, Self::Error> {
//!         Ok(Class::Reply { lane: (), tag: frame.first().copied().unwrap_or(0) })
//!     }
//!
//!     fn decode(&mut self, (): (), frame: &[u8]) -> Result<String, Self::Error> {
//!         std::str::from_utf8(frame.get(1..).unwrap_or_default()).map(str::to_owned)
//!     }
//! }
//!
//! struct Ask(&'static str);
//!
//! impl Call for Ask {
//!     type Protocol = Numbered;
//!     type Reply = String;
//!
//!     fn encode(&self, numbered: &mut Numbered, frame: &mut Vec<u8>)
//!         -> Result<Ticket<(), u8, ()>, std::str::Utf8Error> {
//!         numbered.0 = numbered.0.wrapping_add(1);
//!         frame.push(numbered.0);
//!         frame.extend_from_slice(self.0.as_bytes());
//!         Ok(Ticket { lane: (), tag: numbered.0, context: () })
//!     }
//!
//!     fn reply(reply: String) -> String { reply }
//! }
//!
//! let mut mux = Mux::new(Numbered(0), Limits::default());
//! let impatient = mux.request(&Ask("who is there?"), "first caller").unwrap();
//! mux.request(&Ask("and who else?"), "second caller").unwrap();
//! assert_eq!(mux.poll_transmit(), Some(&b"\x01who is there?"[..]));
//! assert_eq!(mux.poll_transmit(), Some(&b"\x02and who else?"[..]));
//! mux.handle_sent(2);
//!
//! mux.cancel(impatient);
//! mux.handle_frame(b"\x01nobody").unwrap(); // too late: thrown away, and nothing is out of step
//! mux.handle_frame(b"\x02everybody").unwrap();
//! let Some(Output::Answer { waiter, result }) = mux.poll_output() else { panic!() };
//! assert_eq!((waiter, result.unwrap()), ("second caller", "everybody".to_owned()));
//! assert_eq!(mux.account().late, 1);
//! ```
//!
//! # What this crate is not
//!
//! It does not cut frames out of bytes (that is `frame-codec`), knows no protocol of its own, opens no
//! connection, and never sends anything twice: whether a request may be repeated is for the caller to know.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `tokio` | `Driver`, `Handle`, `Pending` and `drive`: the loop that owns a stream, and calls as futures |

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

#[cfg(feature = "tokio")]
mod drive;
mod error;
mod lane;
mod limits;
mod mux;
mod outbox;
mod protocol;

#[cfg(feature = "tokio")]
pub use drive::{Driver, End, Handle, Pending, Progress, Step, drive};
pub use error::{Error, Fault};
pub use limits::Limits;
pub use mux::{Account, CallId, Mux, Output, OutputOf};
pub use protocol::{Call, Class, ClassOf, ErrorOf, Protocol, Ticket, TicketOf};
