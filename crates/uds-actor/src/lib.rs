//! One task owns the socket, everyone else holds handles, and closing returns a report of what happened to every frame.
//!
//! ```text
//!   Sender ──▶ outbox ─┐              ┌─▶ inbox ──▶ Receiver
//!   Sender ──▶ (bytes) │   ┌──────┐   │  (bytes)
//!                      └──▶│ task │───┘
//!   Control ──────────────▶│ Pump │ ◀──▶ socket
//!      ▲                   └──┬───┘
//!      └────── Report ────────┘
//! ```
//!
//! The task reads while it writes, so two ends that both send cannot block each other. The bytes that wait are bounded in both
//! directions. The task holds everything that is half done, so you may drop the future of any handle at any time. When the
//! connection ends (in order, by a reset, or because of bytes that are not frames), the [`Report`] says what happened to every
//! frame.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use uds_actor::{Actor, Bind, Connect, Delimited};
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("echo.sock");
//! let mut listener = Bind::path(&path).listen()?;
//!
//! let server = async {
//!     let (stream, _peer) = listener.accept().await?;
//!     let (sender, mut receiver, control) = Actor::new(stream, Delimited::lines()).spawn();
//!     while let Some(line) = receiver.recv().await {
//!         sender.send(line).await?; // send every line back
//!     }
//!     sender.finish().await?;
//!     Ok::<_, Box<dyn std::error::Error>>(control.finished().await)
//! };
//! let client = async {
//!     let stream = Connect::path(&path).connect().await?;
//!     let (sender, mut receiver, _control) = Actor::new(stream, Delimited::lines()).spawn();
//!     sender.send(b"to the echo").await?;
//!     sender.finish().await?;
//!     Ok::<_, Box<dyn std::error::Error>>(receiver.recv_shared().await)
//! };
//! let (report, echo) = tokio::try_join!(server, client)?;
//! assert_eq!(echo.as_deref(), Some(&b"to the echo"[..]));
//! assert_eq!((report.delivered.frames, report.handed_to_kernel.frames, report.lost.frames), (1, 1, 0));
//! # Ok(())
//! # }
//! ```
//!
//! | to | use |
//! |---|---|
//! | own a connection | [`Actor`], or [`spawn_with_channels`] if you prefer two plain channels |
//! | receive | [`Receiver::recv`] one message at a time, [`Receiver::recv_batch`] everything that is there |
//! | own a socket that keeps messages apart | [`packet::Actor`], over a [`Seqpacket`] connection or datagrams |
//! | pass descriptors with frames | [`Actor::pass_descriptors`], see [`fds`]; all other actors reject them |
//! | offer a path | [`Bind`] and its [`Listener`] or [`BoundDatagram`]: it locks the path, drains the queue at the end, and touches no other process's file |
//! | reach a path | [`Connect`]: it waits for a server up to a deadline, and says which directory is in the way |
//! | identify a peer | [`Peer`] and [`Admit`]: from the kernel, without name-service lookups |
//!
//! # What this crate is not
//!
//! It does not bind or connect itself: [`Bind`], [`Connect`], [`Listener`] and [`Peer`] are re-exported from `uds-socket`, and the
//! framings from `frame-codec`, so that your `Cargo.toml` needs only this crate and tokio. Without a runtime, use `uds-channel`. For
//! sockets that appear in a directory see `fs-watch`, for many producers `mpsr-server`, for requests and replies `packetizer`. It does
//! not interpret frames. Linux only.
#![forbid(unsafe_code)]

/// The README's code, compiled as it is printed.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod actor;
mod channels;
mod control;
mod count;
mod driver;
mod error;
pub mod fds;
mod inbox;
#[cfg(all(test, loom_check))]
mod loom_check;
mod outbox;
mod outlet;
mod owned;
pub mod packet;
mod payload;
mod quiet;
mod reason;
mod receiver;
mod report;
mod requests;
mod sender;
mod settings;
mod setup;
mod stream;
mod sync;
mod task;
mod transport;
mod waiters;
mod write_shared;

pub use crate::{
    actor::Actor,
    channels::{spawn_with_channels, spawn_with_tagged_channels},
    control::Control,
    count::Count,
    error::{FlushError, SendError, TrySendError, Unsent},
    outlet::Overflow,
    owned::Owned,
    packet::TurnedAway,
    reason::{AncillaryFault, Reason},
    receiver::Receiver,
    report::Report,
    sender::Sender,
    stream::socket::Socket,
    transport::Transport,
    write_shared::WriteShared,
};
#[doc(no_inline)]
pub use bytes::Bytes;
#[doc(inline)]
pub use frame_codec::{
    Batch, DecodeError, Delimited, EncodeError, Fixed, Framing, LengthPrefixed, Limits, Netstring, OctetCount,
    Oversize, Raw, UntilEof, Varint, Whole,
};
#[doc(inline)]
pub use uds_socket::{
    AcceptError, AcceptStats, Acceptable, Accepted, Address, AddressError, Admit, Backoff, Bind, BindError,
    BoundDatagram, Connect, ConnectError, Denied, Draining, FileKind, InvalidMode, Listener, Liveness, LockFault, Mode,
    NameLoss, NoRuntime, PathFault, Peer, PeerError, ProbeError, Seqpacket, SeqpacketListener, SocketKind, Verdict,
    Warning, Withdrawal, probe,
};
