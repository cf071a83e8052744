//! How a client opens a stream to a server.

use std::{fmt, future::Future, io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::{TcpStream, UnixStream},
    sync::mpsc,
};

/// Turns a server's name into a stream.
///
/// This crate has [`Tcp`], [`Unix`], and [`InMemory`] for tests. For anything else that carries bytes in order, such as
/// a tunnel or an encrypted stream, implement this trait. You get the server's name with each address, to compare with
/// a certificate.
///
/// The client owns its connector and uses it to reconnect whenever the connection is lost.
pub trait Connector: Send + Sync + 'static {
    /// An address to open a stream to.
    type Address: fmt::Display + Send + Sync + 'static;
    /// The stream that carries the bytes.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Returns the addresses of a server. The client asks again in each round of attempts; each address is one attempt.
    ///
    /// # Errors
    ///
    /// Any reason why the name cannot be resolved. It counts as one failed attempt.
    fn resolve(&self, server: &str) -> impl Future<Output = io::Result<Vec<Self::Address>>> + Send;

    /// Opens a stream to one address of a server. The caller limits the time, and drops the future after that.
    ///
    /// # Errors
    ///
    /// Any reason why the stream cannot be opened. The client goes on to the next address.
    fn connect(&self, server: &str, address: &Self::Address) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// TCP to `host:port`, with `TCP_NODELAY`: a small request must not wait for the acknowledgement of another.
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

/// A Unix domain socket. The server's name is the socket's path.
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

/// Streams inside this process. The holder of the [`Incoming`] plays the server. The address is ignored.
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
    /// Creates a connector whose streams hold `buffer` bytes in each direction. Up to 16 streams wait to be accepted;
    /// after that, connecting waits.
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
