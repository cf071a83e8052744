//! Standard input, read without blocking.
//!
//! Other processes share it, so we must not set or clear its `O_NONBLOCK` flag, and it may have either value. We do not
//! read it in a thread: `send` must work even where a process cannot start one.

use std::{
    io::{self, IoSliceMut},
    os::fd::BorrowedFd,
};

use anyhow::Context as _;
use frame_codec::{Decoder, Framing};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, ReadWriteFlags, preadv2, read, retry_on_intr},
    stdio::stdin,
};
use tokio::io::{Interest, unix::AsyncFd};

/// Standard input.
#[derive(Debug)]
pub(crate) struct Input {
    fd: BorrowedFd<'static>,
    /// `None` if reading never waits: for files, and for devices that cannot be polled.
    readiness: Option<AsyncFd<BorrowedFd<'static>>>,
    /// Whether `RWF_NOWAIT` works: for pipes (Linux 6.4) and sockets. Otherwise we ask `poll`, which is wrong only if
    /// another process reads the same pipe at the same moment.
    is_nowait: bool,
}

impl Input {
    /// Must be called in a runtime.
    pub(crate) fn new() -> Self {
        let fd = stdin();
        Self { fd, readiness: register(fd), is_nowait: true }
    }

    /// Reads what is available into the decoder, and waits until there is something. Returns the number of bytes; 0
    /// means the end.
    ///
    /// Cancel safe: a dropped future has read nothing.
    pub(crate) async fn read(&mut self, decoder: &mut Decoder<impl Framing>) -> anyhow::Result<usize> {
        loop {
            let mut guard = match &self.readiness {
                Some(readiness) => Some(readiness.readable().await.context("cannot wait for standard input")?),
                None => None,
            };
            let outcome = decoder.read_with(|room| try_read(self.fd, guard.is_some(), &mut self.is_nowait, room));
            match (outcome, &mut guard) {
                (Err(error), Some(guard)) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                (outcome, _) => return outcome.context("cannot read standard input"),
            }
        }
    }
}

/// `None` if the kernel cannot report readiness for this file.
#[expect(
    deprecated,
    reason = "its replacement is unsafe for the sake of descriptors that get closed; this one stays open"
)]
fn register(fd: BorrowedFd<'static>) -> Option<AsyncFd<BorrowedFd<'static>>> {
    AsyncFd::with_interest(fd, Interest::READABLE).ok()
}

fn try_read(fd: BorrowedFd<'_>, may_wait: bool, is_nowait: &mut bool, room: &mut [u8]) -> io::Result<usize> {
    if may_wait && *is_nowait {
        // -1: at the file's own position, as `read` does.
        let found = retry_on_intr(|| preadv2(fd, &mut [IoSliceMut::new(room)], u64::MAX, ReadWriteFlags::NOWAIT));
        match found {
            // Not supported for this file, by this kernel, or in this sandbox.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM | Errno::SPIPE) => *is_nowait = false,
            found => return Ok(found?),
        }
    }
    if may_wait {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let ready = retry_on_intr(|| poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&now)))?;
        if ready == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
    }
    Ok(retry_on_intr(|| read(fd, &mut *room))?)
}
