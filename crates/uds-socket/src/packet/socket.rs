//! What the actor needs from a socket that carries separate packets.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    task::{Context, Poll},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send, sockopt::socket_send_buffer_size},
};

use crate::Peer;

/// A packet socket that an actor can own. No method blocks; they return `Pending` instead.
pub trait Socket: Send + 'static {
    /// The kind of conversation.
    const SEMANTICS: Semantics;

    /// The identity of the peer, if the kernel guarantees it.
    fn peer(&self) -> Option<Peer>;

    /// Asks the kernel to reject descriptors when they are sent, if it can (`SO_PASSRIGHTS`). A packet actor accepts
    /// none; any that arrive are closed unseen.
    fn refuse_descriptors(&self) {}

    /// The largest packet that the kernel accepts, in bytes.
    fn largest(&self) -> usize;

    /// Receives the next packet into `room`. `Pending` means that the task will be woken when there is one.
    ///
    /// # Errors
    ///
    /// Any error of the operating system, except that the call would block or was interrupted. Packets that had arrived
    /// before can still be received.
    fn poll_recv(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<Received>>;

    /// Sends a packet, completely or not at all. `Pending` means that the task will be woken when there may be room.
    ///
    /// # Errors
    ///
    /// Any error of the operating system, except that the call would block or was interrupted.
    fn poll_send(&self, cx: &mut Context<'_>, packet: &[u8]) -> Poll<io::Result<()>>;

    /// Whether the kernel holds something to read now: a packet, or the end.
    fn has_unread(&self) -> bool;

    /// Whether the peer has closed both directions.
    fn is_hung_up(&self) -> bool;

    /// Tells the peer that no packet will follow, if the socket can.
    fn finish(&self);

    /// Stops the arrival of packets, if the socket can. Those that have arrived can still be received. The actor calls
    /// this when it is told to end.
    fn close_intake(&mut self);
}

/// A socket that both sends and receives.
pub trait TwoWay: Socket {}

/// The kind of conversation on a packet socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Semantics {
    /// With one peer, in order, until the end. A packet that violates a rule ends it, and an empty packet cannot be
    /// sent.
    Connection,
    /// Packets that have nothing to do with each other, from any number of senders. There is no end, and what one sender
    /// Independent packets from any number of senders. There is no end, and an error by one sender does not end it.
    Datagrams,
}

/// The result of receiving from a packet socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A packet with this many bytes.
    Packet(usize),
    /// A packet with this many bytes, which did not fit. It is lost.
    Oversized(usize),
    /// A packet from a sender that is not admitted. It is lost.
    Uninvited(Peer),
    /// The end: nothing more can arrive.
    End,
}

/// Distinguishes a packet too long for `room` from one that fits.
pub(super) fn sized(len: usize, room: &[u8]) -> Received {
    if len > room.len() { Received::Oversized(len) } else { Received::Packet(len) }
}

/// Receives one packet, and returns its real length even if it does not fit (`MSG_TRUNC`, `recv(2)`).
///
/// There is no room for descriptors, so the kernel closes any that come with the packet.
pub(super) fn receive(socket: impl AsFd, room: &mut [u8]) -> io::Result<usize> {
    let (_, len) = recv(socket, room, RecvFlags::TRUNC | RecvFlags::DONTWAIT)?;
    Ok(len)
}

/// Sends one packet without ever raising `SIGPIPE`.
pub(super) fn transmit(socket: impl AsFd, packet: &[u8]) -> io::Result<()> {
    send(socket, packet, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}

/// The kernel rejects packets over the send buffer, less its own overhead (`unix_dgram_sendmsg`).
pub(super) fn largest(socket: impl AsFd) -> usize {
    const AROUND: usize = 32;
    socket_send_buffer_size(socket).map_or(usize::MAX, |bytes| bytes.saturating_sub(AROUND))
}

/// What `poll(2)` reports now.
pub(super) fn asks(socket: BorrowedFd<'_>, flags: PollFlags) -> PollFlags {
    let mut sockets = [PollFd::from_borrowed_fd(socket, flags)];
    match poll(&mut sockets, Some(&Timespec::default())) {
        Ok(_) => sockets[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

/// Whether a datagram waits. `poll(2)` would always say so after the intake was closed.
pub(super) fn has_datagram(socket: BorrowedFd<'_>) -> bool {
    recv(socket, &mut [0_u8; 0], RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok()
}

/// Whether to repeat a call immediately.
pub(super) fn is_interrupted(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::INTR)
}
