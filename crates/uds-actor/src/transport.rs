//! What an actor needs of a socket.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
};

use crate::Peer;

/// A stream that an actor can own.
///
/// Reading and writing are tokio's own traits; this adds what only a socket can tell. A Unix stream is one as it is,
/// anything else becomes one through [`Owned`].
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Who is at the other end, if the kernel vouches for it.
    fn peer(&self) -> Option<Peer>;

    /// Whether the kernel holds something to read at this moment: bytes, or the end of the stream.
    ///
    /// The runtime learns of readiness a little later than the kernel; who must know that nothing is left asks the kernel.
    /// A stream that cannot tell says no.
    fn has_unread(&self) -> bool;
}

impl Transport for UnixStream {
    fn peer(&self) -> Option<Peer> {
        Peer::of(self).ok()
    }

    fn has_unread(&self) -> bool {
        let mut sockets = [PollFd::new(self, PollFlags::IN)];
        poll(&mut sockets, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }
}

/// Any `AsyncRead + AsyncWrite` as a [`Transport`]: a TLS stream, a pipe pair, a test double. It names no peer.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use frame_codec::Delimited;
/// use uds_actor::{Actor, Owned};
///
/// let (here, there) = tokio::io::duplex(1024);
/// let (left, _, _left) = Actor::new(Owned(here), Delimited::lines()).spawn();
/// let (_, mut right, _right) = Actor::new(Owned(there), Delimited::lines()).spawn();
///
/// left.send(b"over any stream").await.unwrap();
/// let batch = right.recv_batch().await.expect("a line was sent");
/// assert_eq!(batch.get(0), Some(&b"over any stream"[..]));
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Owned<S>(pub S);

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for Owned<S> {
    fn peer(&self) -> Option<Peer> {
        None
    }

    fn has_unread(&self) -> bool {
        false
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Owned<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Owned<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
