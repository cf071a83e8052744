//! How a client comes to a stream.

use std::{fmt, future::Future, io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::{TcpStream, UnixStream},
    sync::mpsc,
};

/// A server's name in, a stream out.
///
/// [`Tcp`] and [`Unix`] are here, and [`InMemory`] for tests. Anything else that carries bytes in order, such as a tunnel or an
/// encrypted stream, is one `impl` away: it gets the server's name beside the address, to compare a certificate with.
///
/// The client owns its connector: it connects again whenever the connection is lost.
pub trait Connector: Send + Sync + 'static {
    /// Where a stream can be opened to.
    type Address: fmt::Display + Send + Sync + 'static;
    /// What carries the bytes.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The addresses of a server. Asked anew in each round of attempts; each address is an attempt of its own.
    ///
    /// # Errors
    ///
    /// Whatever keeps the name from being resolved: it counts as one failed attempt.
    fn resolve(&self, server: &str) -> impl Future<Output = io::Result<Vec<Self::Address>>> + Send;

    /// Opens a stream to one address of a server. The caller bounds the time and drops the future when it is up.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from opening; the client goes on to the next address.
    fn connect(&self, server: &str, address: &Self::Address) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// TCP to `host:port`, without Nagle's delay: small requests must not wait for each other's acknowledgement.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp;

impl Connector for Tcp {
    type Address = SocketAddr;
    type Stream = TcpStream;

    async fn resolve(&self, server: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host(server).await?.collect())
    }

    async fn connect(&self, _server: &str, address: &SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A Unix domain socket; the server's name is the socket's path.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unix;

impl Connector for Unix {
    type Address = String;
    type Stream = UnixStream;

    async fn resolve(&self, server: &str) -> io::Result<Vec<String>> {
        Ok(vec![server.to_owned()])
    }

    async fn connect(&self, _server: &str, address: &String) -> io::Result<UnixStream> {
        UnixStream::connect(address).await
    }
}

/// Streams inside this process: the holder of the [`Incoming`] plays the server. The address is not looked at.
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
    type Address = String;
    type Stream = DuplexStream;

    async fn resolve(&self, server: &str) -> io::Result<Vec<String>> {
        Ok(vec![server.to_owned()])
    }

    async fn connect(&self, _server: &str, _address: &String) -> io::Result<DuplexStream> {
        let (here, there) = tokio::io::duplex(self.buffer);
        self.backlog.send(there).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(here)
    }
}

impl Incoming {
    /// The next stream; `None` when no [`InMemory`] is left.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no stream is lost.
    pub async fn accept(&mut self) -> Option<DuplexStream> {
        self.backlog.recv().await
    }
}
