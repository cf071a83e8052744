//! A Unix stream that the actor reads and that others may write to.

use std::{
    fmt,
    io::{self, IoSlice},
    os::fd::AsFd as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{SendAncillaryBuffer, SendFlags, sendmsg},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::UnixStream,
};

use crate::{Peer, transport::WriteShared};

/// A connected Unix stream socket in the hands of an actor.
///
/// It never raises `SIGPIPE`, whatever the program that it runs in has done to that signal: every write is a `sendmsg(2)`
/// with `MSG_NOSIGNAL`.
pub struct Socket {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared(UnixStream);

impl Socket {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { shared: Arc::new(Shared(stream)) }
    }

    pub(crate) fn peer(&self) -> Option<Peer> {
        Peer::of(&self.shared.0).ok()
    }

    pub(crate) fn has_unread(&self) -> bool {
        self.asks(PollFlags::IN).intersects(PollFlags::IN | PollFlags::HUP)
    }

    pub(crate) fn is_hung_up(&self) -> bool {
        self.asks(PollFlags::empty()).contains(PollFlags::HUP)
    }

    pub(crate) fn writer(&self) -> Arc<dyn WriteShared> {
        Arc::clone(&self.shared) as Arc<dyn WriteShared>
    }

    /// What `poll(2)` says at this moment.
    fn asks(&self, flags: PollFlags) -> PollFlags {
        let mut sockets = [PollFd::new(&self.shared.0, flags)];
        match poll(&mut sockets, Some(&Timespec::default())) {
            Ok(_) => sockets[0].revents(),
            Err(_) => PollFlags::empty(),
        }
    }
}

impl Shared {
    /// Reads once. After a read that did not fill its room the socket is known to be empty, and is not asked again before
    /// the kernel says that there is more: a lone message costs one system call, not two.
    fn read(&self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let room = buf.remaining();
        let mut emptied = false;
        let outcome = self.0.try_io(Interest::READABLE, || {
            let count = self.0.try_read_buf(buf)?;
            emptied = 0 < count && count < room;
            // The readiness that is taken back is the one from before the read, so that nothing is forgotten that came since.
            if emptied { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        if emptied { Ok(()) } else { outcome }
    }
}

impl WriteShared for Shared {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_io(Interest::WRITABLE, || {
            let mut nothing = SendAncillaryBuffer::default();
            Ok(sendmsg(self.0.as_fd(), slices, &mut nothing, SendFlags::NOSIGNAL)?)
        })
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.shared.0.poll_read_ready(cx))?;
            match self.shared.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome.map(drop)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.shared.0.poll_write_ready(cx))?;
            match self.shared.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Closes the writing direction.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match rustix::net::shutdown(&self.shared.0, rustix::net::Shutdown::Write) {
            // The peer was faster; what we wanted to say to it, it knows.
            Ok(()) | Err(rustix::io::Errno::NOTCONN) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.0.fmt(f)
    }
}
