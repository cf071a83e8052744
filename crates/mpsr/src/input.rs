//! Standard input, read without blocking.
//!
//! It is shared with other processes, so its `O_NONBLOCK` flag is not ours to set or to clear, and may be either. No thread
//! reads it: where a process may not have one, it must still be able to send.

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
    /// `None` for what never has to be waited for: files, and devices that cannot be polled.
    readiness: Option<AsyncFd<BorrowedFd<'static>>>,
    /// Whether `RWF_NOWAIT` works: pipes (Linux 6.4) and sockets. Else `poll` is asked, which is wrong only where another
    /// process reads the same pipe at the same moment.
    is_nowait: bool,
}

impl Input {
    /// Must be called in the runtime.
    pub(crate) fn new() -> Self {
        let fd = stdin();
        Self { fd, readiness: register(fd), is_nowait: true }
    }

    /// Reads what is there into the decoder, waiting until there is something. Returns how many bytes it was, 0 at the end.
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

/// `None` where the kernel has no readiness for such a file.
#[expect(
    deprecated,
    reason = "its replacement is unsafe for the sake of descriptors that get closed; this one stays open"
)]
fn register(fd: BorrowedFd<'static>) -> Option<AsyncFd<BorrowedFd<'static>>> {
    AsyncFd::with_interest(fd, Interest::READABLE).ok()
}

fn try_read(fd: BorrowedFd<'_>, may_wait: bool, is_nowait: &mut bool, room: &mut [u8]) -> io::Result<usize> {
    if may_wait && *is_nowait {
        // At the position where the file is, as by `read`.
        let found = retry_on_intr(|| preadv2(fd, &mut [IoSliceMut::new(room)], u64::MAX, ReadWriteFlags::NOWAIT));
        match found {
            // Not by this file, not by this kernel, not in this sandbox.
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
