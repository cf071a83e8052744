//! How a client comes to a stream.

use std::{future::Future, io};

use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::{TcpStream, UnixStream},
    sync::mpsc,
};

/// An address in, a stream out.
///
/// [`Tcp`] and [`Unix`] are here, and [`InMemory`] for tests. Anything else that carries bytes in order — a tunnel, an
/// encrypted stream — is one `impl` away.
pub trait Connector: Send + Sync {
    /// What carries the bytes.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens a stream to one server. The caller bounds the time and drops the future when it is up.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from opening; the client goes on to the next server.
    fn connect(&self, address: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// TCP to `host:port`, without Nagle's delay: small requests must not wait for each other's acknowledgement.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp;

impl Connector for Tcp {
    type Stream = TcpStream;

    async fn connect(&self, address: &str) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A Unix domain socket; the address is its path.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unix;

impl Connector for Unix {
    type Stream = UnixStream;

    async fn connect(&self, address: &str) -> io::Result<UnixStream> {
        UnixStream::connect(address).await
    }
}

/// Streams inside this process: whoever holds the [`Incoming`] plays the server. The address is not looked at.
#[derive(Debug, Clone)]
pub struct InMemory {
    buffer: usize,
    backlog: mpsc::Sender<DuplexStream>,
}

/// The servers' ends of the streams that an [`InMemory`] opens.
#[derive(Debug)]
pub struct Incoming {
    backlog: mpsc::Receiver<DuplexStream>,
}

impl InMemory {
    /// Streams that hold `buffer` bytes in each direction. Up to 16 wait to be accepted; then connecting waits.
    ///
    /// # Panics
    ///
    /// If `buffer` is 0.
    #[must_use]
    pub fn new(buffer: usize) -> (Self, Incoming) {
        assert!(buffer > 0, "a stream that holds nothing carries nothing");
        let (sender, receiver) = mpsc::channel(16);
        (Self { buffer, backlog: sender }, Incoming { backlog: receiver })
    }
}

impl Connector for InMemory {
    type Stream = DuplexStream;

    async fn connect(&self, _address: &str) -> io::Result<DuplexStream> {
        let (here, there) = tokio::io::duplex(self.buffer);
        self.backlog.send(there).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(here)
    }
}

impl Incoming {
    /// The next stream; `None` when nobody can connect any more.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no stream is lost.
    pub async fn accept(&mut self) -> Option<DuplexStream> {
        self.backlog.recv().await
    }
}
