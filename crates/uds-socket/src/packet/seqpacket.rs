//! A connection that carries separate packets.

use std::{
    fmt,
    future::poll_fn,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    task::{Context, Poll, ready},
};

use rustix::{
    event::PollFlags,
    io::ioctl_fionread,
    net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair},
};
use tokio::io::{Interest, unix::AsyncFd};

use super::socket::{Received, Semantics, Socket, TwoWay, asks, is_interrupted, largest, receive, sized, transmit};
use crate::{
    Peer, SocketKind,
    accept::Acceptable,
    sys::{self, Rights},
};

/// A connected Unix seqpacket socket (`SOCK_SEQPACKET`, `unix(7)`): a connection like a stream, but each send is one
/// receive.
///
/// [`Connect::connect_seqpacket`](crate::Connect::connect_seqpacket) connects one, a
/// [`SeqpacketListener`](crate::SeqpacketListener) accepts one, and [`pair`](Self::pair) creates two. Usually you pass
/// it to a `uds_actor::packet::Actor`; on its own, it sends and receives packet by packet.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use uds_socket::{Seqpacket, packet::Received};
///
/// let (here, there) = Seqpacket::pair()?;
/// here.send(b"one").await?;
/// here.send(b"three").await?;
/// let mut room = [0; 4];
/// assert_eq!(there.recv(&mut room).await?, Received::Packet(3));
/// assert_eq!(there.recv(&mut room).await?, Received::Oversized(5)); // not four bytes of it
/// drop(here);
/// assert_eq!(there.recv(&mut room).await?, Received::End);
/// # Ok(())
/// # }
/// ```
pub struct Seqpacket {
    socket: AsyncFd<OwnedFd>,
}

impl Seqpacket {
    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// The operating system's error.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (here, there) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        for socket in [&here, &there] {
            sys::set_rights(socket.as_fd(), Rights::Rejected);
        }
        Ok((Self::from_socket(here)?, Self::from_socket(there)?))
    }

    /// Takes over a socket that was connected by other means.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is not a Unix seqpacket socket, and any error of the operating system.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn from_fd(socket: OwnedFd) -> io::Result<Self> {
        use rustix::net::sockopt::{socket_domain, socket_type};
        if socket_domain(&socket)? != AddressFamily::UNIX || socket_type(&socket)? != SocketType::SEQPACKET {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a Unix seqpacket socket"));
        }
        rustix::io::ioctl_fionbio(&socket, true)?;
        Self::from_socket(socket)
    }

    /// Sends a packet.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for an empty packet, which the peer would take for the end; `EMSGSIZE` for a packet larger than
    /// the send buffer; `EPIPE` if the peer is gone; and any other error of the operating system.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has sent nothing.
    pub async fn send(&self, packet: &[u8]) -> io::Result<()> {
        poll_fn(|cx| self.poll_send(cx, packet)).await
    }

    /// Receives a packet into the beginning of `room`. A packet that does not fit is lost, and reported as
    /// [`Oversized`](Received::Oversized).
    ///
    /// # Errors
    ///
    /// `ECONNRESET`, once, if the peer closed without reading everything; what it sent before can still be received.
    /// Also any other error of the operating system.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has received nothing.
    pub async fn recv(&self, room: &mut [u8]) -> io::Result<Received> {
        poll_fn(|cx| self.poll_recv(cx, room)).await
    }

    /// Decides what a receive of no bytes means: an empty packet, or the end.
    ///
    /// The kernel returns 0 for both. Before the peer has closed, it is a packet. Afterwards nothing more can arrive,
    /// so if bytes are still queued, it was a packet before them.
    fn nothing(&self) -> io::Result<Received> {
        let has_ended = asks(self.as_fd(), PollFlags::RDHUP).intersects(PollFlags::RDHUP | PollFlags::HUP);
        if has_ended && ioctl_fionread(self)? == 0 { Ok(Received::End) } else { Ok(Received::Packet(0)) }
    }
}

impl Acceptable for Seqpacket {
    const KIND: SocketKind = SocketKind::Seqpacket;

    fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: sys::watch(socket, Interest::READABLE | Interest::WRITABLE)? })
    }
}

impl Socket for Seqpacket {
    const SEMANTICS: Semantics = Semantics::Connection;

    fn peer(&self) -> Option<Peer> {
        Peer::of(self).ok()
    }

    fn refuse_descriptors(&self) {
        sys::set_rights(self.as_fd(), Rights::Rejected);
    }

    fn largest(&self) -> usize {
        largest(self)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<Received>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            match ready.try_io(|socket| receive(socket, room)) {
                Ok(Ok(0)) => return Poll::Ready(self.nothing()),
                Ok(Ok(len)) => return Poll::Ready(Ok(sized(len, room))),
                Ok(Err(error)) if is_interrupted(&error) => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_send(&self, cx: &mut Context<'_>, packet: &[u8]) -> Poll<io::Result<()>> {
        if packet.is_empty() {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an empty packet is taken for the end",
            )));
        }
        loop {
            let mut ready = ready!(self.socket.poll_write_ready(cx))?;
            match ready.try_io(|socket| transmit(socket, packet)) {
                Ok(Err(error)) if is_interrupted(&error) => {}
                Ok(outcome) => return Poll::Ready(outcome),
                Err(_would_block) => {}
            }
        }
    }

    fn has_unread(&self) -> bool {
        asks(self.as_fd(), PollFlags::IN).intersects(PollFlags::IN | PollFlags::HUP)
    }

    fn is_hung_up(&self) -> bool {
        asks(self.as_fd(), PollFlags::empty()).contains(PollFlags::HUP)
    }

    fn finish(&self) {
        // This fails only if the peer was faster; then it already knows.
        let _ = shutdown(self, Shutdown::Write);
    }

    /// Nothing to do: we wait for the peer's end, or read what has arrived.
    fn close_intake(&mut self) {}
}

impl TwoWay for Seqpacket {}

impl AsFd for Seqpacket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for Seqpacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seqpacket").field(self.socket.get_ref()).finish()
    }
}
