//! What the actor needs of a socket that keeps packets apart.

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

/// A packet socket that an actor can own. Nothing here waits except by `Pending`.
pub trait Socket: Send + 'static {
    /// What kind of conversation it is.
    const SEMANTICS: Semantics;

    /// Who is at the other end, if the kernel vouches for it.
    fn peer(&self) -> Option<Peer>;

    /// Has the kernel refuse descriptors where they are sent, if it can (`SO_PASSRIGHTS`): a packet actor takes none, and
    /// closes unseen what comes anyway.
    fn refuse_descriptors(&self) {}

    /// The largest packet the kernel takes, in bytes.
    fn largest(&self) -> usize;

    /// Receives the next packet into `room`; `Pending` means that the task is woken when there is one.
    ///
    /// # Errors
    ///
    /// Whatever the system says, except that it would block or was interrupted. What had arrived before can still be
    /// received afterwards.
    fn poll_recv(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<Received>>;

    /// Sends a packet, whole or not at all; `Pending` means that the task is woken when there may be room.
    ///
    /// # Errors
    ///
    /// Whatever the system says, except that it would block or was interrupted.
    fn poll_send(&self, cx: &mut Context<'_>, packet: &[u8]) -> Poll<io::Result<()>>;

    /// Whether the kernel holds something to read at this moment: a packet, or the end.
    fn has_unread(&self) -> bool;

    /// Whether the peer has closed both directions.
    fn is_hung_up(&self) -> bool;

    /// Says that no packet will follow, where the other side can see that.
    fn finish(&self);

    /// Has no more packets come in, where the socket can; what has arrived can still be received. Asked when the actor is
    /// told to end.
    fn close_intake(&mut self);
}

/// A socket that sends as well as it receives.
pub trait TwoWay: Socket {}

/// What kind of conversation a packet socket has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Semantics {
    /// With one peer, in order, until the end. A packet that breaks a rule ends it, and an empty one cannot be sent.
    Connection,
    /// Packets that have nothing to do with each other, from any number of senders. There is no end, and what one sender
    /// does wrong is no reason to end.
    Datagrams,
}

/// What came out of a packet socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A packet of so many bytes.
    Packet(usize),
    /// A packet of so many bytes, for which there was no room; it is gone.
    Oversized(usize),
    /// A packet from somebody who is not admitted; it is gone.
    Uninvited(Peer),
    /// The end: nothing more can arrive.
    End,
}

/// What tells a packet too long for `room` from one that fits.
pub(super) fn sized(len: usize, room: &[u8]) -> Received {
    if len > room.len() { Received::Oversized(len) } else { Received::Packet(len) }
}

/// Receives one packet, and learns its real length even if there is no room for it (`MSG_TRUNC`, `recv(2)`).
///
/// There is nowhere to put descriptors, so the kernel closes those that come along.
pub(super) fn receive(socket: impl AsFd, room: &mut [u8]) -> io::Result<usize> {
    let (_, len) = recv(socket, room, RecvFlags::TRUNC | RecvFlags::DONTWAIT)?;
    Ok(len)
}

/// Sends one packet without ever raising `SIGPIPE`.
pub(super) fn transmit(socket: impl AsFd, packet: &[u8]) -> io::Result<()> {
    send(socket, packet, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}

/// The kernel refuses packets over the send buffer less what it puts around them (`unix_dgram_sendmsg`).
pub(super) fn largest(socket: impl AsFd) -> usize {
    const AROUND: usize = 32;
    socket_send_buffer_size(socket).map_or(usize::MAX, |bytes| bytes.saturating_sub(AROUND))
}

/// What `poll(2)` says at this moment.
pub(super) fn asks(socket: BorrowedFd<'_>, flags: PollFlags) -> PollFlags {
    let mut sockets = [PollFd::from_borrowed_fd(socket, flags)];
    match poll(&mut sockets, Some(&Timespec::default())) {
        Ok(_) => sockets[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

/// Whether a datagram waits. `poll(2)` would say so for ever once no more can come in.
pub(super) fn has_datagram(socket: BorrowedFd<'_>) -> bool {
    recv(socket, &mut [0_u8; 0], RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok()
}

/// Whether a call is to be made again at once.
pub(super) fn is_interrupted(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::INTR)
}
