//! What a listener returns.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;

use crate::address::SocketKind;
use crate::bind::publish::NameLoss;
use crate::peer::Peer;

/// A type of connection that a listener returns: the standard library's stream; with feature `tokio` also tokio's
/// stream and `Seqpacket`.
pub trait Acceptable: AsFd + Sized + Send {
    /// The kind of socket.
    const KIND: SocketKind;

    /// Takes over a connected, non-blocking socket of this kind. A tokio stream is registered with the current runtime.
    ///
    /// # Errors
    /// If the runtime cannot watch it. The socket is then closed.
    ///
    /// # Panics
    /// For types of tokio, outside a tokio runtime with I/O enabled.
    fn from_socket(socket: OwnedFd) -> io::Result<Self>;
}

impl Acceptable for StdStream {
    const KIND: SocketKind = SocketKind::Stream;

    /// The stream is in blocking mode.
    fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        let stream = Self::from(socket);
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

/// An event of a listener, as `next` returns it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Accepted<S> {
    /// A connection from an admitted peer.
    Connection(S, Peer),
    /// A peer was not admitted, and its connection is closed. `None` if the kernel did not identify the peer.
    Rejected(Option<Peer>),
    /// A connection cannot be accepted for now, because of a shortage of descriptors or memory. The listener tries
    /// again after a pause.
    Trouble(io::Error),
    /// The listener's file no longer leads to it, so new clients cannot find it: see `Listener::rebind`.
    NameLost(NameLoss),
}
