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
    /// Connects to a stream socket.
    ///
    /// # Errors
    /// Until the deadline, it waits out [`ConnectError::NotThere`], [`ConnectError::NotListening`],
    /// [`ConnectError::QueueFull`], and [`ConnectError::Connect`] for a shortage of descriptors or memory. These fail
    /// at once: [`ConnectError::Address`], [`ConnectError::NotASocket`], [`ConnectError::WrongType`],
    /// [`ConnectError::Denied`], [`ConnectError::NoProc`], other [`ConnectError::Connect`], and
    /// [`ConnectError::NoRuntime`] outside a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempts. No connection is lost: if one was made, the same poll returns it.
    ///
    /// # Panics
    /// In a tokio runtime built without I/O; also in one without time, if there is a deadline or a server is just
    /// starting.
    pub async fn connect(&self) -> Result<UnixStream, ConnectError> {
        UnixStream::from_std(StdStream::from(self.reached(SocketKind::Stream).await?))
            .map_err(|source| self.failed(source))
    }

    /// Connects to a seqpacket socket.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// See [`connect`](Self::connect).
    ///
    /// # Panics
    /// See [`connect`](Self::connect).
    pub async fn connect_seqpacket(&self) -> Result<Seqpacket, ConnectError> {
        Seqpacket::from_socket(self.reached(SocketKind::Seqpacket).await?).map_err(|source| self.failed(source))
    }

    /// Connects a new, unnamed datagram socket. It cannot receive; the server learns of it from its first datagram.
    /// [`ConnectError::QueueFull`] does not occur, because connecting takes no place in the queue.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// See [`connect`](Self::connect).
    ///
    /// # Panics
    /// See [`connect`](Self::connect).
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
