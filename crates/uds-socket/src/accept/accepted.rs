//! What a listener gives out.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;

use crate::address::SocketKind;
use crate::bind::publish::NameLoss;
use crate::peer::Peer;

/// A kind of connection that a listener gives out: the standard library's stream; with feature `tokio` also tokio's, and
/// `Seqpacket`.
pub trait Acceptable: AsFd + Sized + Send {
    /// The kind of its socket.
    const KIND: SocketKind;

    /// Takes over a connected, non-blocking socket of this kind: a stream of tokio's goes to the current runtime.
    ///
    /// # Errors
    /// When the runtime cannot watch it; the socket is closed then.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled, if it is for one.
    fn from_socket(socket: OwnedFd) -> io::Result<Self>;
}

impl Acceptable for StdStream {
    const KIND: SocketKind = SocketKind::Stream;

    /// The stream blocks.
    fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        let stream = Self::from(socket);
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

/// What a listener's `next` returns.
#[derive(Debug)]
#[non_exhaustive]
pub enum Accepted<S> {
    /// A connection from a peer that is admitted.
    Connection(S, Peer),
    /// A peer was not admitted, and its connection is closed. `None` if the kernel did not say who it is.
    Rejected(Option<Peer>),
    /// A connection could not be had for now, for want of descriptors or memory. Accepting goes on after a pause.
    Trouble(io::Error),
    /// The listener's file no longer leads to it, so that no new client finds it: see `Listener::rebind`.
    NameLost(NameLoss),
}
