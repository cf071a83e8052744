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
//!         sender.send_batch(&batch).await?; // send every line back
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
//! | to | use |
//! |---|---|
//! | own a connection | [`Actor`], or [`spawn_with_channels`] if you prefer two plain channels |
//! | own a socket that keeps messages apart | [`packet::Actor`], over a [`Seqpacket`] connection or datagrams |
//! | pass descriptors with frames | [`Actor::pass_descriptors`], see [`fds`]; all other actors reject them |
//! | offer a path | [`Bind`] and its [`Listener`] or [`BoundDatagram`]: it locks the path, drains the queue at the end, and touches no other process's file |
//! | reach a path | [`Connect`]: it waits for a server up to a deadline, and says which directory is in the way |
//! | identify a peer | [`Peer`] and [`Admit`]: from the kernel, without name-service lookups |
//!
//! # What this crate is not
//!
//! It does not bind or connect itself: [`Bind`], [`Connect`], [`Listener`] and [`Peer`] are re-exported from `uds-socket`. It
//! needs tokio; without a runtime, use `uds-channel`. For sockets that appear in a directory see `fs-watch`, for many producers
//! `mpsr-server`, for requests and replies `packetizer`. It does not interpret frames. Linux only.
#![forbid(unsafe_code)]

mod actor;
mod channels;
mod control;
pub mod fds;
mod inbox;
#[cfg(all(test, loom_check))]
mod loom_check;
mod outbox;
mod outlet;
pub mod packet;
mod payload;
mod quiet;
mod receiver;
mod report;
mod sender;
mod settings;
mod sink;
mod socket;
mod sync;
mod task;
mod transport;
mod waiters;

pub use crate::{
    actor::Actor,
    channels::spawn_with_channels,
    control::Control,
    outlet::{Overflow, SendError},
    packet::TurnedAway,
    receiver::Receiver,
    report::{Count, Reason, Report},
    sender::{Sender, Unsent},
    sink::SendSink,
    socket::Socket,
    transport::{Owned, Transport, WriteShared},
};
#[doc(inline)]
pub use uds_socket::{
    AcceptStats, Acceptable, Accepted, Address, Admit, Bind, BoundDatagram, Connect, Draining, Error, FileKind,
    Listener, Liveness, LockFault, Mode, NameLoss, PathFault, Peer, Result, Seqpacket, SeqpacketListener, SocketKind,
    Verdict, Warning, Withdrawal, probe,
};
