//! A Unix stream that the actor reads from, and that senders may write to.

use std::{
    fmt,
    future::Future as _,
    io::{self, IoSlice},
    os::fd::AsFd as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, retry_on_intr},
    net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::UnixStream,
    time::{Sleep, sleep},
};
use uds_socket::Rights;

use crate::{Peer, write_shared::WriteShared};

/// A connected Unix stream socket that an actor owns.
///
/// It never raises `SIGPIPE`, whatever the program has done with that signal: every write is a `sendmsg(2)` with
/// `MSG_NOSIGNAL`. It rejects descriptors (`SO_PASSRIGHTS`, Linux 6.16), because there is no receiver for them. On a
/// kernel without that option, they are closed when the bytes are read.
pub struct Socket {
    shared: Arc<Shared>,
    short_read: ShortRead,
    /// When to check whether there is something after the last short read.
    doubt: Option<Pin<Box<Sleep>>>,
    /// Whether there was, so that we read until the socket is empty although no event reports more.
    is_behind: bool,
}

/// How long after a short read to check whether it was the last one. An idle connection has no timer, and a busy one
/// checks once in this time.
const DOUBT: Duration = Duration::from_millis(50);

/// What a read means that does not fill its buffer. The kernel ends each read after bytes that descriptors came with,
/// even if more data follows; unless it rejects descriptors, that can happen at any time. It also ends a read at a byte
/// that the peer marks as urgent (`MSG_OOB`), and no event reports the rest. So we believe a short read, which saves a
/// system call for each lone message, and [check](DOUBT) a little later. If a peer was found to do this, we do not
/// believe it again.
///
/// ```text
///   Nothing                         descriptors may come
///   NothingYet ──empty once──▶ Empty   they are rejected, and those sent before are gone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShortRead {
    Nothing,
    NothingYet,
    Empty,
}

/// State that an actor and its senders share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) stream: UnixStream,
    /// Whether the last write succeeded although the kernel had reported no room. Then there may be room for the next.
    has_unannounced_room: AtomicBool,
}

impl Socket {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self::with_rights(stream, Rights::Rejected)
    }

    pub(crate) fn with_rights(stream: UnixStream, rights: Rights) -> Self {
        // With identities, each read would end where another process has written. We identify the peer in other ways.
        uds_socket::want_no_identities(stream.as_fd());
        let is_set = uds_socket::set_rights(stream.as_fd(), rights);
        let short_read = if is_set && rights == Rights::Rejected { ShortRead::NothingYet } else { ShortRead::Nothing };
        Self {
            shared: Arc::new(Shared { stream, has_unannounced_room: AtomicBool::new(false) }),
            short_read,
            doubt: None,
            is_behind: false,
        }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn peer(&self) -> Option<Peer> {
        Peer::of(&self.shared.stream).ok()
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

    /// Reads after the last short read, if it is time and no event has reported data.
    fn poll_behind(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.is_behind {
            let Some(doubt) = &mut self.doubt else { return Poll::Pending };
            ready!(doubt.as_mut().poll(cx));
            self.doubt = None;
        }
        match retry_on_intr(|| recv(&self.shared.stream, buf.initialize_unfilled(), RecvFlags::DONTWAIT)) {
            // The runtime wakes the task when data arrives.
            Err(Errno::AGAIN) => {
                self.is_behind = false;
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error.into())),
            Ok((count, _)) => {
                buf.advance(count);
                (self.is_behind, self.short_read) = (true, ShortRead::Nothing);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// What `poll(2)` reports now.
    fn asks(&self, flags: PollFlags) -> PollFlags {
        let mut sockets = [PollFd::new(&self.shared.stream, flags)];
        match poll(&mut sockets, Some(&Timespec::default())) {
            Ok(_) => sockets[0].revents(),
            Err(_) => PollFlags::empty(),
        }
    }
}

impl Shared {
    /// Reads once. If a short read shows that the socket is empty, the next read waits until the kernel reports more,
    /// so that a lone message costs one system call instead of two. Returns whether that is so.
    fn read(&self, buf: &mut ReadBuf<'_>, short_read: ShortRead) -> io::Result<bool> {
        let room = buf.remaining();
        let mut emptied = false;
        let outcome = self.stream.try_io(Interest::READABLE, || {
            let count = self.stream.try_read_buf(buf)?;
            emptied = short_read == ShortRead::Empty && 0 < count && count < room;
            // This clears the readiness from before the read, so that no later event is lost.
            if emptied { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        if emptied { Ok(true) } else { outcome.map(|()| false) }
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut nothing = SendAncillaryBuffer::default();
        Ok(sendmsg(self.stream.as_fd(), slices, &mut nothing, SendFlags::NOSIGNAL)?)
    }
}

impl WriteShared for Shared {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.try_io(Interest::WRITABLE, || self.write(slices))
    }

    fn write_unannounced(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.write(slices);
        self.has_unannounced_room.store(written.is_ok(), Ordering::Relaxed);
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this.shared.stream.poll_read_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return this.poll_behind(cx, buf),
            }
            match this.shared.read(buf, this.short_read) {
                Ok(emptied) => {
                    if emptied && this.doubt.is_none() {
                        this.doubt = Some(Box::pin(sleep(DOUBT)));
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if this.short_read == ShortRead::NothingYet {
                        this.short_read = ShortRead::Empty;
                    }
                }
                Err(error) => return Poll::Ready(Err(error)),
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
            match self.shared.stream.poll_write_ready(cx) {
                Poll::Ready(ready) => ready?,
                // The runtime wakes the task if this would block.
                Poll::Pending if self.shared.has_unannounced_room.load(Ordering::Relaxed) => {
                    match self.shared.write_unannounced(slices) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                        outcome => return Poll::Ready(outcome),
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
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
        match rustix::net::shutdown(&self.shared.stream, rustix::net::Shutdown::Write) {
            // The peer closed first, and need not be told.
            Ok(()) | Err(Errno::NOTCONN) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.stream.fmt(f)
    }
}
