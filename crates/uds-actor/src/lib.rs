//! A task owns one socket; others hold handles; it closes with an account.
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
//! The task reads while it writes, so neither side can wedge the other. What waits is bounded in bytes in both
//! directions. What is half done lives in the task, so any future of a handle may be dropped at any time. And when the
//! connection ends — in order, by a reset, by bytes that are no frames — the [`Report`] says what became of every frame.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use frame_codec::Delimited;
//! use uds_actor::{Actor, Bind, Connect};
//!
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("echo.sock");
//! let mut listener = Bind::path(&path).listen()?;
//!
//! let server = async {
//!     let (stream, _peer) = listener.accept().await?;
//!     let (sender, mut receiver, control) = Actor::new(stream, Delimited::lines()).spawn();
//!     while let Some(batch) = receiver.recv_batch().await {
//!         sender.send_batch(&batch).await?; // every line back to where it came from
//!     }
//!     sender.finish().await?;
//!     Ok::<_, Box<dyn std::error::Error>>(control.finished().await)
//! };
//! let client = async {
//!     let stream = Connect::path(&path).connect().await?;
//!     let (sender, mut receiver, _control) = Actor::new(stream, Delimited::lines()).spawn();
//!     sender.send(b"to the echo").await?;
//!     sender.finish().await?;
//!     Ok::<_, Box<dyn std::error::Error>>(receiver.recv_batch().await.expect("the echo answers"))
//! };
//! let (report, echo) = tokio::try_join!(server, client)?;
//! assert_eq!(echo.get(0), Some(&b"to the echo"[..]));
//! assert_eq!((report.delivered.frames, report.handed_to_kernel.frames, report.lost.frames), (1, 1, 0));
//! # Ok(())
//! # }
//! ```
//!
//! | to | take |
//! |---|---|
//! | own a connection | [`Actor`], or [`spawn_with_channels`] for two plain channels |
//! | own a socket that keeps messages apart | [`packet::Actor`], over a [`Seqpacket`] connection or datagrams |
//! | pass descriptors with frames | [`Actor::pass_descriptors`], see [`fds`]; everything else here refuses them |
//! | offer a path | [`Bind`] and its [`Listener`] or [`BoundDatagram`]: locked, published when ready, drained at the end, nobody else's file touched |
//! | reach a path | [`Connect`]: waits for a server up to a deadline, says what is in the way |
//! | know who is there | [`Peer`] and [`Admit`]: from the kernel, without name-service look-ups |
//!
//! # What this crate is not
//!
//! It does not bind or connect itself: [`Bind`], [`Connect`], [`Listener`] and [`Peer`] are those of `uds-socket`, re-exported. It is
//! nothing for programs without a runtime (`uds-channel`). It knows nothing of directories that sockets appear in (`fs-watch`), of many producers (`mpsr-server`), of requests and
//! replies (`packetizer`), or of what frames mean. It is for Linux.
//!

#![forbid(unsafe_code)]

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
mod sink;
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
    sink::SendSink,
    stream::socket::Socket,
    transport::Transport,
    write_shared::WriteShared,
};
#[doc(no_inline)]
pub use bytes::Bytes;
#[doc(inline)]
pub use frame_codec::{
    Batch, Delimited, Error as FrameError, Fixed, Framing, LengthPrefixed, Limits, Netstring, OctetCount, Oversize,
    Raw, UntilEof, Varint, Whole,
};
#[doc(inline)]
pub use uds_socket::{
    AcceptStats, Acceptable, Accepted, Address, Admit, Bind, BoundDatagram, Connect, Draining, Error, FileKind,
    Listener, Liveness, LockFault, Mode, NameLoss, PathFault, Peer, Result, Seqpacket, SeqpacketListener, SocketKind,
    Warning, Withdrawal, probe,
};
