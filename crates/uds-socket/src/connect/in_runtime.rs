//! Connecting in a tokio runtime.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;

use tokio::net::{UnixDatagram, UnixStream};

use super::{Attempts, Connect};
use crate::accept::Acceptable as _;
use crate::address::SocketKind;
use crate::error::ConnectError;
use crate::packet::Seqpacket;
use crate::runtime::in_runtime;

/// With feature `tokio`: connecting in a runtime.
impl Connect {
    /// Connects.
    ///
    /// # Errors
    /// Waited out up to the deadline: [`ConnectError::NotThere`], [`ConnectError::NobodyListening`], [`ConnectError::QueueFull`], and
    /// [`ConnectError::Connect`] for a shortage of descriptors or memory. At once: [`ConnectError::Address`],
    /// [`ConnectError::NotASocket`], [`ConnectError::WrongType`],
    /// [`ConnectError::Denied`], [`ConnectError::NoProc`], other [`ConnectError::Connect`], [`ConnectError::NoRuntime`] outside a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropping the future stops trying. No connection is made behind its back: if one was made, it is returned by
    /// that very poll.
    ///
    /// # Panics
    /// In a tokio runtime that was built without I/O, or without time if there is a deadline or a server is just starting.
    pub async fn connect(&self) -> Result<UnixStream, ConnectError> {
        UnixStream::from_std(StdStream::from(self.reached(SocketKind::Stream).await?))
            .map_err(|source| self.failed(source))
    }

    /// Connects to a seqpacket socket.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// As [`connect`](Self::connect).
    ///
    /// # Panics
    /// As [`connect`](Self::connect).
    pub async fn connect_seqpacket(&self) -> Result<Seqpacket, ConnectError> {
        Seqpacket::from_socket(self.reached(SocketKind::Seqpacket).await?).map_err(|source| self.failed(source))
    }

    /// Has a new datagram socket, without a name of its own, send to this address. Nobody can send to it, and the receiver
    /// does not notice it until it sends. [`ConnectError::QueueFull`] does not occur: connecting takes no place in the queue.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// As [`connect`](Self::connect).
    ///
    /// # Panics
    /// As [`connect`](Self::connect).
    pub async fn connect_datagram(&self) -> Result<UnixDatagram, ConnectError> {
        UnixDatagram::from_std(self.reached(SocketKind::Datagram).await?.into()).map_err(|source| self.failed(source))
    }

    async fn reached(&self, kind: SocketKind) -> Result<OwnedFd, ConnectError> {
        in_runtime()?;
        let mut attempts = Attempts::new(self.deadline);
        loop {
            match self.attempt(kind) {
                Ok(socket) => return Ok(socket),
                Err(error) => tokio::time::sleep(attempts.pause_after(error, &self.address)?).await,
            }
        }
    }
}
