//! A Unix stream that passes descriptors along with the bytes.

use std::{
    fmt,
    future::Future as _,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::{
    cmsg_space,
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::UnixStream,
    time::{Instant, Sleep, sleep},
};
use uds_socket::{Backoff, Rights, chance};

use super::{fault::Fault, incoming::Intake, limits::MAX_PER_FRAME, transit::Transit};
use crate::{
    stream::socket::{Shared, Socket},
    write_shared::WriteShared,
};

/// The maximum for one read: the buffer is filled with zeros first, which must not cost more than the read.
const READ: usize = 64 << 10;

/// How long to try again while too many descriptors of this user are in flight. Other processes must receive theirs
/// first.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// The socket as the actor uses it.
pub(super) struct FdSocket {
    socket: Socket,
    writer: Arc<Writer>,
    transit: Arc<Transit>,
    /// Bytes of the stream read so far.
    read: u64,
    congestion: Option<Congestion>,
}

/// The limit on descriptors in flight is reached for this user. No event reports when that ends.
struct Congestion {
    since: Instant,
    backoff: Backoff,
    pause: Option<Pin<Box<Sleep>>>,
}

impl FdSocket {
    pub(super) fn new(stream: UnixStream, transit: Arc<Transit>) -> Self {
        let socket = Socket::with_rights(stream, Rights::Accepted);
        let writer = Arc::new(Writer { socket: Arc::clone(socket.shared()), transit: Arc::clone(&transit) });
        Self { socket, writer, transit, read: 0, congestion: None }
    }

    pub(super) const fn plain(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn writer(&self) -> Arc<dyn WriteShared> {
        Arc::clone(&self.writer) as Arc<dyn WriteShared>
    }

    fn stream(&self) -> &UnixStream {
        &self.socket.shared().stream
    }

    /// One `recvmsg`: the bytes go to the buffer, and the descriptors to `transit`.
    fn receive(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_PER_FRAME))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let room = buf.initialize_unfilled_to(buf.remaining().min(READ));
        let stream = self.stream();
        let message = stream.try_io(Interest::READABLE, || {
            Ok(recvmsg(stream, &mut [IoSliceMut::new(room)], &mut control, RecvFlags::CMSG_CLOEXEC)?)
        })?;
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        buf.advance(message.bytes);
        let from = self.read;
        self.read += message.bytes as u64;
        let truncated = message.flags.contains(ReturnFlags::CTRUNC);
        if truncated || !descriptors.is_empty() {
            self.transit.incoming().arrived(from, self.read, descriptors, truncated);
        }
        Ok(())
    }
}

impl Drop for FdSocket {
    fn drop(&mut self) {
        self.transit.incoming().end();
    }
}

impl AsyncRead for FdSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let intake = this.transit.incoming().intake(cx);
        match intake {
            Intake::Open => {}
            Intake::Full => return Poll::Pending,
            Intake::Broken(fault) => return Poll::Ready(Err(io::Error::other(fault))),
        }
        loop {
            ready!(this.stream().poll_read_ready(cx))?;
            match this.receive(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

impl AsyncWrite for FdSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            if let Some(congestion) = &mut this.congestion {
                ready!(congestion.poll_pause(cx));
            }
            ready!(this.stream().poll_write_ready(cx))?;
            match this.writer.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => this.congestion = None,
                Err(error) if is(&error, Errno::TOOMANYREFS) => {
                    let congestion = this.congestion.get_or_insert_with(Congestion::new);
                    if congestion.since.elapsed() >= PATIENCE {
                        return Poll::Ready(Err(io::Error::other(Fault::InFlight)));
                    }
                    congestion.wait();
                }
                outcome => {
                    this.congestion = None;
                    return Poll::Ready(outcome);
                }
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    /// Closes the writing direction.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

impl fmt::Debug for FdSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

impl Congestion {
    fn new() -> Self {
        Self { since: Instant::now(), backoff: Backoff::new(FIRST_PAUSE, LAST_PAUSE), pause: None }
    }

    fn wait(&mut self) {
        self.pause = Some(Box::pin(sleep(self.backoff.jittered(chance()))));
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }
}

/// The writing half, which senders share with the actor. Only the one with the outbox's token writes.
#[derive(Debug)]
struct Writer {
    socket: Arc<Shared>,
    transit: Arc<Transit>,
}

impl WriteShared for Writer {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let portion = self.transit.outgoing().portion();
        let outcome = self.send(&up_to(slices, portion.bytes), &portion.descriptors);
        let passed = !portion.descriptors.is_empty();
        let written = outcome.as_ref().map_or(0, |&count| count);
        let sent = self.transit.outgoing().settle(portion, written);
        // Closing may take some time, and does not need the lock.
        drop(sent);
        outcome
            .map_err(|error| if passed && is(&error, Errno::PERM) { io::Error::other(Fault::Rejected) } else { error })
    }
}

impl Writer {
    fn send(&self, slices: &[IoSlice<'_>], descriptors: &[OwnedFd]) -> io::Result<usize> {
        let stream = &self.socket.stream;
        stream.try_io(Interest::WRITABLE, || {
            if descriptors.is_empty() {
                return Ok(sendmsg(stream, slices, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?);
            }
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_PER_FRAME))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(OwnedFd::as_fd).collect();
            let fits = control.push(SendAncillaryMessage::ScmRights(&borrowed));
            debug_assert!(fits, "no frame is queued with more than {MAX_PER_FRAME} descriptors");
            Ok(sendmsg(stream, slices, &mut control, SendFlags::NOSIGNAL)?)
        })
    }
}

/// The slices up to this many bytes.
fn up_to<'a>(slices: &'a [IoSlice<'_>], mut bytes: usize) -> Vec<IoSlice<'a>> {
    let mut slices_up_to = Vec::with_capacity(slices.len());
    for slice in slices {
        if bytes == 0 {
            break;
        }
        let part = slice.get(..bytes).unwrap_or(slice);
        bytes -= part.len();
        slices_up_to.push(IoSlice::new(part));
    }
    slices_up_to
}

fn is(error: &io::Error, errno: Errno) -> bool {
    Errno::from_io_error(error) == Some(errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_end_at_any_byte() {
        let slices = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"de")];
        for bytes in 0..=7 {
            let bytes_before: Vec<u8> = up_to(&slices, bytes).iter().flat_map(|slice| slice.to_vec()).collect();
            assert_eq!(bytes_before, b"abcde"[..bytes.min(5)], "{bytes}");
        }
        assert_eq!(up_to(&slices, usize::MAX).len(), 3);
    }
}
