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

use crate::{
    Peer,
    sys::{self, Rights},
    transport::WriteShared,
};

/// A connected Unix stream socket in the hands of an actor.
///
/// It never raises `SIGPIPE`, whatever the program that it runs in has done to that signal: every write is a `sendmsg(2)`
/// with `MSG_NOSIGNAL`. It refuses descriptors (`SO_PASSRIGHTS`, Linux 6.16), because nobody would take them; what a kernel
/// without that option lets through is closed when the bytes are read.
pub struct Socket {
    shared: Arc<Shared>,
}

/// What an actor and its senders share.
#[derive(Debug)]
pub(crate) struct Shared(pub(crate) UnixStream);

impl Socket {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self::with_rights(stream, Rights::Refused)
    }

    pub(crate) fn with_rights(stream: UnixStream, rights: Rights) -> Self {
        sys::set_rights(stream.as_fd(), rights);
        Self { shared: Arc::new(Shared(stream)) }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
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
            match self.shared.0.try_read_buf(buf) {
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
