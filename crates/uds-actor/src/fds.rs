//! Frames that carry descriptors: each frame arrives with exactly its own, and none is lost or mixed up.
//!
//! A connection passes no descriptors unless you enable it on both ends with [`Actor::pass_descriptors`]. Then each
//! frame can carry descriptors: open files, sockets, memory, or whatever else the sender has.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::{fs::File, io::{Read, Write}, os::fd::OwnedFd};
//! use frame_codec::LengthPrefixed;
//! use tokio::net::UnixStream;
//! use uds_actor::{Actor, fds::Limits};
//!
//! let (here, there) = UnixStream::pair()?;
//! let passing = |stream| Actor::new(stream, LengthPrefixed::u32_be()).pass_descriptors(Limits::default()).spawn();
//! let (sender, _, _control) = passing(here);
//! let (_, mut receiver, _control) = passing(there);
//!
//! let (reader, mut writer) = std::io::pipe()?;
//! sender.send_with(b"read this", &mut vec![OwnedFd::from(reader)]).await?;
//! write!(writer, "through a pipe that was passed")?;
//! drop(writer);
//!
//! for message in receiver.recv_batch().await.expect("a frame was sent") {
//!     assert_eq!(&message.payload[..], b"read this");
//!     let mut text = String::new();
//!     for descriptor in message.descriptors {
//!         File::from(descriptor).read_to_string(&mut text)?;
//!     }
//!     assert_eq!(text, "through a pipe that was passed");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # On the wire
//!
//! ```text
//!   ┌──────────────┬───────┬─────────────┐
//!   │ framing head │ count │ payload     │   count: one byte, 0 to 253 (SCM_MAX_FD)
//!   └──────────────┴───────┴─────────────┘
//!   ▲ the sendmsg(2) that begins here has the descriptors, all of them in one SCM_RIGHTS control message
//! ```
//!
//! The framing carries one byte, the number of descriptors, and then the payload. The largest payload is therefore one
//! byte less than [`Limits::max_frame`](frame_codec::Limits::max_frame), and the report counts one byte more for each
//! frame that was read or is truncated.
//!
//! A frame without descriptors has a count of 0, and may be written in any pieces, together with others. A frame with
//! descriptors begins a new `sendmsg`, which attaches them to its first byte. The same `sendmsg` may continue with
//! other frames, up to the next one that has descriptors. An implementation in another language must do the same, and
//! read with `recvmsg` and `MSG_CMSG_CLOEXEC` into a control buffer for 253 descriptors: the kernel ends each read
//! after the bytes that descriptors came with.
//!
//! Use a framing that separates frames and can carry any byte: by length, varint, netstring, octet count. With lines, a
//! frame with 10 descriptors is rejected, because its count is a line feed; with NUL as the delimiter, every frame
//! without descriptors is rejected.
//!
//! # What is checked
//!
//! | what | then |
//! |---|---|
//! | a frame announces more or fewer descriptors than came with it | the connection ends: [`Fault::Missing`] |
//! | descriptors arrive that no frame announces | they are closed, and the connection ends: [`Fault::Unannounced`] |
//! | `MSG_CTRUNC`: some were lost because no descriptor was free here | the others are closed, and the connection ends: [`Fault::Truncated`] |
//! | the peer does not accept descriptors (`SO_PASSRIGHTS`) | the frame is given back, and the connection ends: [`Fault::Rejected`] |
//! | too many are in flight for this user ([`Fault::InFlight`]) | the actor tries again with growing pauses for 5 seconds, then as above |
//! | more wait for the receiver than [`Limits::held`] | the actor reads nothing more until the receiver takes some |
//!
//! Frames that came before are delivered. A peer that announces descriptors and does not send them can at most make us
//! assign the descriptors of its next frame to this one. It could have attached them that way itself.
//!
//! Received descriptors are close-on-exec from the beginning, and are closed when you drop them. The [`Report`] counts
//! all of them.
//!
//! A descriptor can be anything: a file that blocks when you read or close it, or a socket that another process reads from, too.
//! Check what it is (`fstat`) before you use it.

mod attachment;
mod batch;
mod carrier;
mod control;
mod error;
mod fault;
mod incoming;
mod limits;
mod outgoing;
mod passing;
mod receiver;
mod report;
mod sender;
mod socket;
mod transit;
mod wire;

#[cfg(doc)]
use crate::Actor;

pub use self::{
    batch::{Batch, Given, Lent, Message},
    control::Control,
    error::{SendError, TrySendError},
    fault::Fault,
    limits::{Limits, MAX_PER_FRAME},
    passing::Passing,
    receiver::Receiver,
    report::{Descriptors, Report},
    sender::Sender,
};
