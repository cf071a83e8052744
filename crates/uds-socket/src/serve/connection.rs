//! A connection as a server gets it: a stream that knows its peer and releases its slot when it is dropped.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use super::handle::Shared;
use super::limits::Slot;
use crate::peer::Peer;

/// A connection that an [`Incoming`](super::Incoming) returned.
///
/// It reads and writes like its [`UnixStream`]. Dropping it closes the socket and makes room for the next connection.
#[derive(Debug)]
pub struct Connection {
    // Dropped in this order: the slot is released after the socket is closed.
    stream: UnixStream,
    peer: Peer,
    unread: Option<Counted>,
    _open: Counted,
    _slot: Slot,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, peer: Peer, slot: Slot, shared: &Arc<Shared>) -> Self {
        let unread = Some(Counted::new(shared, Count::Unread));
        Self { stream, peer, unread, _open: Counted::new(shared, Count::Open), _slot: slot }
    }

    /// The identity of the peer.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let outcome = ready!(Pin::new(&mut self.stream).poll_read(cx, room));
        self.unread = None;
        Poll::Ready(outcome)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Keeps a connection in a count as long as this value exists.
#[derive(Debug)]
struct Counted {
    shared: Arc<Shared>,
    count: Count,
}

#[derive(Debug, Clone, Copy)]
enum Count {
    Unread,
    Open,
}

impl Counted {
    fn new(shared: &Arc<Shared>, count: Count) -> Self {
        let counted = Self { shared: Arc::clone(shared), count };
        counted.change(|number| *number += 1);
        counted
    }

    fn change(&self, change: impl FnOnce(&mut usize)) {
        match self.count {
            Count::Unread => self.shared.unread.send_modify(change),
            Count::Open => self.shared.open.send_modify(change),
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.change(|number| *number -= 1);
    }
}
