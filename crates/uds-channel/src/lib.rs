//! A typed channel over one Unix socket, without a runtime or under tokio.
//!
//! Two programs exchange messages, each in its own way: one may block, the other may have an event loop. The wire
//! format is that of the Sōzu proxy's channel: eight little-endian bytes with the length of the whole frame, including
//! themselves, followed by the message.
//!
//! ```
//! # #[cfg(feature = "json")]
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use std::{thread, time::Duration};
//! use uds_channel::{Blocking, Channel, Json, NonBlocking, RecvError};
//!
//! type Client = Channel<String, u32, Blocking, Json>;
//!
//! let (mut client, server) = Client::pair()?; // or `Client::connect("/run/app.sock")`
//! let mut server: Channel<u32, String, Blocking, Json> = server.into_blocking();
//! let answering = thread::spawn(move || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//!     let text = server.recv()?;
//!     for number in text.split(' ') {
//!         server.send(&number.parse().unwrap_or(0))?;
//!     }
//!     Ok(())
//! });
//!
//! client.send(&"4 5".to_owned())?;
//! let timeout = Duration::from_secs(2);
//! assert_eq!((client.recv_timeout(timeout)?, client.recv_timeout(timeout)?), (4, 5));
//! answering.join().expect("no panic")?;
//! assert!(matches!(client.recv(), Err(RecvError::Ended)));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "json"))]
//! # fn main() {}
//! ```
//!
//! | | [`Blocking`] | [`NonBlocking`] |
//! |---|---|---|
//! | sending | [`send`](Channel::send), [`send_timeout`](Channel::send_timeout): return when the kernel has the whole message | [`queue`](Channel::queue), [`try_send`](Channel::try_send): return [what is left](Flush) |
//! | receiving | [`recv`](Channel::recv), [`recv_timeout`](Channel::recv_timeout): one `poll(2)` with the remaining time | [`try_recv`](Channel::try_recv) until `None` |
//! | in between | – | [`on_readiness`](Channel::on_readiness), [`run`](Channel::run); [`interest`](Channel::interest) tells you what to poll for |
//!
//! The mode decides how this end waits; it is not a flag of the descriptor. The channel neither reads nor changes `O_NONBLOCK`,
//! so it does not matter where the stream came from or which other process shares it, and
//! [`into_nonblocking`](Channel::into_nonblocking) cannot fail.
//!
//! With the feature `tokio` there is `AsyncChannel`, too: `send`, `feed`, `flush` and `recv` as `async` calls on a tokio
//! `UnixStream`, with the same codecs, bounds and errors. All but `send` are cancel safe.
//!
//! # Limits
//!
//! Each direction has its own buffer with its own bound, see [`Buffers`]. A message and its length together must fit. A length
//! that a peer merely claims allocates nothing.
//!
//! # Why not the decoder and encoder of frame-codec
//!
//! They return batches that share memory. A channel takes one message at a time out of its buffer, in place, so that a
//! [fixed](Capacity::fixed) buffer is allocated only once. The framing is frame-codec's.
//!
//! # What this crate is not
//!
//! It does not match replies to requests (`packetizer` does) and passes no descriptors. For frames instead of
//! typed messages under tokio, use `uds-actor`. Linux only.
//!
//! # Features
//!
//! - `json`: `Json`, messages as JSON, with serde.
//! - `prost`: `Prost`, messages as Protocol Buffers.
//! - `tokio`: `AsyncChannel`, the same channel for programs with tokio.
#![forbid(unsafe_code)]

/// The README's code, compiled as it is printed.
#[cfg(all(doctest, feature = "json", feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;

mod blocking;
mod buffer;
mod codec;
mod coded;
mod error;
mod framed;
mod limits;
mod nonblocking;
mod readiness;
#[cfg(test)]
mod tests;
#[cfg(feature = "tokio")]
mod tokio;

use std::{
    fmt, io,
    marker::PhantomData,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
};

use uds_socket::{AcceptError, BlockingListener, Connect, ConnectError, Peer};

#[cfg(feature = "json")]
pub use self::codec::Json;
#[cfg(feature = "prost")]
pub use self::codec::Prost;
use self::coded::Coded;
#[cfg(feature = "tokio")]
pub use self::tokio::{AsyncChannel, AsyncParts};
pub use self::{
    codec::{BoxError, Codec, Verbatim},
    error::{FlushError, RecvError, SendError},
    limits::{Buffers, Capacity},
    readiness::{Flush, Readiness},
};

/// The mode of a [`Channel`] whose calls block.
#[derive(Clone, Copy, Debug)]
pub enum Blocking {}

/// The mode of a [`Channel`] whose calls never block.
#[derive(Clone, Copy, Debug)]
pub enum NonBlocking {}

/// One end of a socket that sends `Tx` and receives `Rx`, encoded by `C`.
///
/// Dropping it closes the socket. Bytes that were received and not taken, and bytes that were queued and not written,
/// are lost; [`into_parts`](Self::into_parts) returns both.
pub struct Channel<Tx: ?Sized, Rx, Mode, C> {
    coded: Coded<OwnedFd, C>,
    types: PhantomData<Types<Tx, Rx, Mode>>,
}

type Types<Tx, Rx, Mode> = (fn(&Tx) -> Rx, fn() -> Mode);

/// The parts of a [`Channel`], from [`Channel::into_parts`].
#[derive(Debug)]
pub struct Parts<C> {
    /// The socket.
    pub stream: UnixStream,
    /// The codec.
    pub codec: C,
    /// Bytes that were received and not taken: complete frames, and possibly the beginning of one.
    pub unread: Vec<u8>,
    /// Bytes that were queued and not written: possibly the rest of a frame, and complete ones.
    pub unsent: Vec<u8>,
}

impl<Tx: ?Sized, Rx, C> Channel<Tx, Rx, Blocking, C> {
    /// A channel over this stream. From now on, the stream rejects descriptors (`SO_PASSRIGHTS`), because a channel
    /// takes messages only.
    #[must_use]
    pub fn new(stream: UnixStream, codec: C, buffers: Buffers) -> Self {
        Self { coded: Coded::new(stream.into(), codec, buffers), types: PhantomData }
    }

    /// The same channel for an event loop. What is buffered stays buffered.
    #[must_use]
    pub fn into_nonblocking(self) -> Channel<Tx, Rx, NonBlocking, C> {
        self.into_mode()
    }
}

impl<Tx: ?Sized, Rx, C: Default> Channel<Tx, Rx, Blocking, C> {
    /// A channel over this stream, with the default buffers. For a stream of mio, convert it to the standard library's
    /// first: `stream.into()`.
    #[must_use]
    pub fn from_stream(stream: UnixStream) -> Self {
        Self::new(stream, C::default(), Buffers::default())
    }

    /// Connects to a path, with one attempt. For a deadline, or for other addresses, use [`Connect::connect_blocking`].
    ///
    /// # Errors
    ///
    /// See [`Connect::connect_blocking`].
    pub fn connect(path: impl Into<PathBuf>) -> Result<Self, ConnectError> {
        Connect::path(path).connect_blocking().map(Self::from_stream)
    }

    /// Waits for the next admitted peer, and returns its identity, too. For an event loop, convert the channel with
    /// [`into_nonblocking`](Self::into_nonblocking).
    ///
    /// ```
    /// use uds_channel::{Blocking, Channel, Verbatim};
    /// use uds_socket::Bind;
    ///
    /// type Server = Channel<[u8], Vec<u8>, Blocking, Verbatim>;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("app.sock");
    /// let mut listener = Bind::path(&path).listen_blocking()?;
    /// let mut client = Server::connect(&path)?;
    /// client.send(b"ping")?;
    /// let (mut server, peer) = Server::accept(&mut listener)?;
    /// assert_eq!((peer.pid(), server.recv()?), (Some(std::process::id()), b"ping".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`BlockingListener::accept`].
    pub fn accept(listener: &mut BlockingListener) -> Result<(Self, Peer), AcceptError> {
        listener.accept().map(|(stream, peer)| (Self::from_stream(stream), peer))
    }
}

impl<Tx, Rx, C: Default> Channel<Tx, Rx, Blocking, C> {
    /// Two connected ends, one for a program that blocks and one for an event loop.
    ///
    /// # Errors
    ///
    /// The process has no descriptors left, or the machine has no memory.
    pub fn pair() -> io::Result<(Self, Channel<Rx, Tx, NonBlocking, C>)> {
        let (here, there) = UnixStream::pair()?;
        let there: Channel<Rx, Tx, Blocking, C> = Channel::from_stream(there);
        Ok((Self::from_stream(here), there.into_nonblocking()))
    }
}

impl<Tx: ?Sized, Rx, C> Channel<Tx, Rx, NonBlocking, C> {
    /// The same channel for a program that blocks. What is buffered stays buffered, and what was queued goes out first.
    #[must_use]
    pub fn into_blocking(self) -> Channel<Tx, Rx, Blocking, C> {
        self.into_mode()
    }
}

impl<Tx: ?Sized, Rx, Mode, C> Channel<Tx, Rx, Mode, C> {
    fn into_mode<Other>(self) -> Channel<Tx, Rx, Other, C> {
        Channel { coded: self.coded, types: PhantomData }
    }

    /// Bytes that were queued and not written yet, including length prefixes.
    #[must_use]
    pub fn unsent_bytes(&self) -> usize {
        self.coded.framed.unsent().len()
    }

    /// Bytes that were received and not taken yet, including length prefixes.
    #[must_use]
    pub fn unread_bytes(&self) -> usize {
        self.coded.framed.unread().len()
    }

    /// Takes the channel apart without losing a byte.
    #[must_use]
    pub fn into_parts(self) -> Parts<C> {
        let (socket, codec, unread, unsent) = self.coded.into_parts();
        Parts { stream: socket.into(), codec, unread, unsent }
    }
}

impl<Tx: ?Sized, Rx, Mode, C> AsFd for Channel<Tx, Rx, Mode, C> {
    /// The socket, for polling, or for identifying the peer ([`Peer::of`](uds_socket::Peer::of)). Do not read from it
    /// or write to it: that would break the framing.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.coded.framed.socket()
    }
}

impl<Tx: ?Sized, Rx, Mode, C> fmt::Debug for Channel<Tx, Rx, Mode, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("framed", &self.coded.framed).finish_non_exhaustive()
    }
}
