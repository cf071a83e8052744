//! A datagram socket with a name, which receives from every admitted sender.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    task::{Context, Poll},
};

use rustix::net::{Shutdown, shutdown};
use socket_file::overflow;
use tokio::net::UnixDatagram;

use super::{
    datagram::poll_datagram,
    socket::{Received, Semantics, Socket, has_datagram, sized},
};
use crate::{
    Address, Admit, BindError, Peer, SocketKind,
    bind::{
        Bind, Taken,
        publish::{NameLock, Published},
    },
    runtime::in_runtime,
    sys,
    warning::Warning,
};

/// A datagram socket with a name. [`Bind::bind_datagram`](crate::Bind::bind_datagram) creates one.
///
/// It only receives. Pass it to a `uds_actor::packet::Actor`. Dropping it removes the name, closes the socket (which
/// *loses the datagrams that were not read*) and releases the lock, in this order. `uds_actor::Control::drain` of its
/// actor loses none: it removes the name, refuses later datagrams, and reads those that have arrived.
///
/// With each datagram, the kernel reports its sender (`SCM_CREDENTIALS`): the effective user and group at the time, but
/// no supplementary groups. Root may claim any identity. A datagram that was sent before the kernel was asked to record
/// senders (to a socket of the service manager without `PassCredentials=yes`) has no sender. It may come from any user,
/// and is accepted only if [any peer](Admit::any) is admitted, even if uid 65534 is.
#[derive(Debug)]
pub struct BoundDatagram {
    // The fields must be dropped in this order: the open socket keeps the inode number ours while the name is removed,
    // and the lock keeps other processes from the name until everything is done.
    name: Option<Published>,
    socket: UnixDatagram,
    admit: Admit,
    address: Address,
    warnings: Vec<Warning>,
    _lock: Option<NameLock>,
}

/// With feature `tokio`: receiving datagrams in a runtime.
impl Bind {
    /// Binds the address and receives datagrams on it: `SOCK_DGRAM`, in a unit file `ListenDatagram=` (with
    /// `PassCredentials=yes`, because datagrams that are sent before this call have no sender otherwise).
    ///
    /// Each datagram's sender is [admitted](Self::admit) or not, by user and primary group. A datagram without a sender
    /// is accepted only if [any peer](Admit::any) is admitted. The system decides how many datagrams may wait
    /// (`net.unix.max_dgram_qlen`), and not [`backlog`](Self::backlog).
    ///
    /// # Errors
    /// See [`listen`](Self::listen).
    ///
    /// # Panics
    /// See [`listen`](Self::listen).
    pub fn bind_datagram(self) -> Result<BoundDatagram, BindError> {
        in_runtime()?;
        self.take(SocketKind::Datagram, |socket| UnixDatagram::from_std(socket.into())).map(BoundDatagram::new)
    }
}

impl BoundDatagram {
    pub(crate) fn new(taken: Taken<UnixDatagram>) -> Self {
        let Taken { socket, bind, admit, name, lock, warnings } = taken;
        Self { name, socket, admit, address: bind.address().clone(), warnings, _lock: lock }
    }

    /// Features that are missing but do not keep it from receiving, and the consequences.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The address that it receives on.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    fn receive(&self, room: &mut [u8]) -> io::Result<Received> {
        let (len, sender) = sys::credentials::receive_with_credentials(self.socket.as_fd(), room)?;
        let Some(sender) = sender else {
            let unknown = || Received::Uninvited(Peer::new(overflow::uid(), overflow::gid(), None, []));
            return Ok(if self.admit.is_any() { sized(len, room) } else { unknown() });
        };
        let sender = Peer::new(sender.uid, sender.gid, u32::try_from(sender.pid).ok(), []);
        Ok(if self.admit.admits(&sender) { sized(len, room) } else { Received::Uninvited(sender) })
    }
}

impl Socket for BoundDatagram {
    const SEMANTICS: Semantics = Semantics::Datagrams;

    fn peer(&self) -> Option<Peer> {
        None
    }

    /// It does not send.
    fn largest(&self) -> usize {
        0
    }

    fn poll_recv(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<Received>> {
        poll_datagram(&self.socket, cx, room, |_, room| self.receive(room))
    }

    fn poll_send(&self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }

    fn has_unread(&self) -> bool {
        has_datagram(self.socket.as_fd())
    }

    fn is_hung_up(&self) -> bool {
        false
    }

    fn finish(&self) {}

    /// Removes the name, and makes the kernel refuse what connected senders send. A socket of the service manager is
    /// left as it is: later datagrams are for the next instance.
    fn close_intake(&mut self) {
        drop(self.name.take());
        if !matches!(self.address, Address::Systemd(_)) {
            // This cannot fail for a bound socket.
            let _ = shutdown(&self.socket, Shutdown::Read);
        }
    }
}

impl AsFd for BoundDatagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram as StdDatagram;

    use rustix::net::sockopt::set_socket_passcred;

    use super::*;

    #[tokio::test]
    async fn an_unknown_sender_cannot_be_admitted() {
        let own = rustix::process::geteuid().as_raw();
        for (admit, admitted) in [
            (Admit::own().uid(overflow::uid()).gid(overflow::gid()), [false, true]),
            (Admit::none(), [false, false]),
            (Admit::any(), [true, true]),
        ] {
            let (here, there) = StdDatagram::pair().unwrap();
            there.send(b"before anybody asked").unwrap();
            set_socket_passcred(&here, true).unwrap();
            there.send(b"and after that").unwrap();
            here.set_nonblocking(true).unwrap();
            let socket = UnixDatagram::from_std(here).unwrap();
            let (address, warnings) = (Address::Systemd("x".into()), Vec::new());
            let bound = BoundDatagram { name: None, socket, admit, address, warnings, _lock: None };
            for (is_admitted, uid) in admitted.into_iter().zip([overflow::uid(), own]) {
                match bound.receive(&mut [0; 100]).unwrap() {
                    Received::Uninvited(sender) => assert_eq!((is_admitted, sender.uid()), (false, uid)),
                    _ => assert!(is_admitted),
                }
            }
        }
    }
}
