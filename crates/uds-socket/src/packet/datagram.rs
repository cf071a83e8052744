//! tokio's datagram socket, as a socket for an actor.

use std::{
    io,
    os::fd::AsFd as _,
    task::{Context, Poll, ready},
};

use rustix::{
    event::PollFlags,
    net::{Shutdown, shutdown},
};
use tokio::{io::Interest, net::UnixDatagram};

use super::socket::{
    Received, Semantics, Socket, TwoWay, asks, has_datagram, is_interrupted, largest, receive, sized, transmit,
};
use crate::{
    Peer,
    sys::{self, Rights},
};

/// Waits for a datagram and lets `receive` take it.
///
/// After [`Socket::close_intake`], the runtime considers the socket ready forever. So an empty queue must be
/// distinguished from a closed one; a closed and empty one is at its end.
pub(super) fn poll_datagram(
    socket: &UnixDatagram,
    cx: &mut Context<'_>,
    room: &mut [u8],
    receive: impl Fn(&UnixDatagram, &mut [u8]) -> io::Result<Received>,
) -> Poll<io::Result<Received>> {
    let mut is_closed = false;
    loop {
        ready!(socket.poll_recv_ready(cx))?;
        match socket.try_io(Interest::READABLE, || receive(socket, room)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if is_closed {
                    return Poll::Ready(Ok(Received::End));
                }
                // Checked before the last look into the queue: a datagram may have arrived in between.
                is_closed = asks(socket.as_fd(), PollFlags::RDHUP).contains(PollFlags::RDHUP);
            }
            Err(error) if is_interrupted(&error) => {}
            outcome => return Poll::Ready(outcome),
        }
    }
}

/// A connected datagram socket: from [`Connect::connect_datagram`](crate::Connect::connect_datagram), or one of a pair.
///
/// The kernel knows which process created a pair, but not which one reads the connected socket, so there is no
/// [`peer`](Socket::peer).
impl Socket for UnixDatagram {
    const SEMANTICS: Semantics = Semantics::Datagrams;

    fn peer(&self) -> Option<Peer> {
        None
    }

    fn refuse_descriptors(&self) {
        sys::set_rights(self.as_fd(), Rights::Rejected);
    }

    fn largest(&self) -> usize {
        largest(self)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<Received>> {
        poll_datagram(self, cx, room, |socket, room| receive(socket, room).map(|len| sized(len, room)))
    }

    fn poll_send(&self, cx: &mut Context<'_>, packet: &[u8]) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_send_ready(cx))?;
            match self.try_io(Interest::WRITABLE, || transmit(self, packet)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock || is_interrupted(&error) => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    fn has_unread(&self) -> bool {
        has_datagram(self.as_fd())
    }

    /// Never: datagrams have no visible end.
    fn is_hung_up(&self) -> bool {
        false
    }

    /// Nothing: datagrams have no visible end.
    fn finish(&self) {}

    /// From now on, senders get `EPIPE`; otherwise they would fill a queue that no process reads.
    fn close_intake(&mut self) {
        // This fails only for a socket without a peer, to which no process sends.
        let _ = shutdown(&*self, Shutdown::Read);
    }
}

impl TwoWay for UnixDatagram {}
