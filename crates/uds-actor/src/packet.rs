//! The actor for sockets that carry separate messages: one frame is one packet.
//!
//! ```text
//!   seqpacket   a connection, as a stream is one: accepted, ordered, with an end and the peer's identity
//!   datagrams   no connection: any number of senders and one bound receiver, or a pair
//! ```
//!
//! Handles, limits, report and ways to close are those of [`Actor`](crate::Actor). The table shows the differences.
//!
//! | | [`Seqpacket`] | tokio's [`UnixDatagram`](tokio::net::UnixDatagram), connected | [`BoundDatagram`] |
//! |---|---|---|---|
//! | made by | [`Connect::connect_seqpacket`](crate::Connect::connect_seqpacket), [`Bind::listen_seqpacket`](crate::Bind::listen_seqpacket) | [`Connect::connect_datagram`](crate::Connect::connect_datagram) | [`Bind::bind_datagram`](crate::Bind::bind_datagram) |
//! | handles | all three | all three | [`Receiver`](crate::Receiver) and [`Control`] |
//! | peer | [`Control::peer`], from the kernel | not known | each datagram's sender is [admitted](crate::Bind::admit) or turned away; the receiver does not learn which of the admitted senders it was |
//! | a packet over the limit arrives | ends the connection: [`Reason::Malformed`](crate::Reason::Malformed) | is turned away and counted: [`Control::turned_away`] | the same: one sender must not end it for all |
//! | a packet is too large to send | [`SendError::Unsendable`](crate::SendError::Unsendable), for that packet only | the same | – |
//! | an empty packet | cannot be sent, because a reader would take it for the end | is a packet | is a packet |
//! | the peer ends | end of the stream | noticed when the next packet is sent: [`Reason::ReceiverGone`](crate::Reason::ReceiverGone) | not noticed |
//! | the peer is slow | the socket's send buffer fills | its queue of `net.unix.max_dgram_qlen` packets fills | – |
//! | [`Control::close`] | waits for the peer's end | reads what has arrived, like [`Control::drain`]: there is no end to wait for | the same, after removing the name |
//! | descriptors | are rejected (`SO_PASSRIGHTS`, Linux 6.16) or, on older kernels and on sockets made elsewhere, closed unseen | the same | the same |
//!
//! A received empty packet is a frame without bytes. On a seqpacket connection, we distinguish it from the end by
//! asking the kernel whether the peer has closed. Empty packets immediately before the peer's end cannot be
//! distinguished from it, and count as the end.
//!
//! # When the receiver of datagrams was restarted
//!
//! A connected datagram socket stays connected to the old socket even if that is gone. The connection ends with
//! [`Reason::ReceiverGone`](crate::Reason::ReceiverGone), and the report contains what was not handed over. To
//! continue, connect again and send that first.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::time::Duration;
//! use uds_actor::{Bind, Connect, Reason, packet};
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("log.sock");
//! # let old = Bind::path(&path).bind_datagram()?;
//!
//! let connect = Connect::path(&path).deadline(Duration::from_secs(5));
//! let (sender, _receiver, control) = packet::Actor::new(connect.connect_datagram().await?).spawn();
//! # drop(old);
//! sender.send(b"a line of the log").await?;
//!
//! # let server = Bind::path(&path).bind_datagram()?;
//! # let (mut receiver, _server) = packet::Actor::new(server).spawn_receiver();
//! let report = control.finished().await;
//! if matches!(report.reason, Reason::ReceiverGone) {
//!     let (sender, _receiver, _control) = packet::Actor::new(connect.connect_datagram().await?).spawn();
//!     sender.send_batch(&report.unsent).await?;
//!     sender.flush().await?;
//! }
//! # assert_eq!(receiver.recv_batch().await.expect("the line").get(0), Some(&b"a line of the log"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! Datagrams that the old receiver had in its queue and did not read are lost with it; the sender knows only that they
//! were handed to the kernel.
//!
//! # Speed
//!
//! Each packet costs a system call on each side, and the kernel offers no good way around that. Use packets for records
//! that must stay whole, and for many writers of one socket. For speed, use a stream.

mod actor;
mod budget;
mod control;
mod driver;
mod incoming;
mod outgoing;
pub(crate) mod packets;
mod turned_away;

pub use self::{
    actor::Actor,
    control::{Control, Report},
    turned_away::TurnedAway,
};
#[doc(inline)]
pub use uds_socket::packet::{BoundDatagram, Received, Semantics, Seqpacket, Socket, TwoWay};
