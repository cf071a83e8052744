//! Writing to a standard stream without blocking on it.
//!
//! A standard stream is shared with other processes, so its `O_NONBLOCK` flag is not ours to set or to clear, and may be
//! either. This writes what fits and returns `WouldBlock` for the rest, whatever the flag says.

use std::{io, os::fd::BorrowedFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, fstat},
    io::{Errno, ReadWriteFlags, pwritev2, retry_on_intr, write},
};

/// `PIPE_BUF`: a pipe that `poll` calls writable takes this many bytes without blocking.
const ATOMIC: usize = 4096;

/// One standard stream.
#[derive(Debug)]
pub(crate) struct Stream {
    fd: BorrowedFd<'static>,
    way: Way,
}

/// How to write without blocking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A file: a write waits for no other process.
    Plain,
    /// `RWF_NOWAIT`: pipes (Linux 6.4) and sockets.
    NoWait,
    /// Terminals, devices, and older kernels: ask with `poll`, then write a little.
    Polled,
}

impl Stream {
    pub(crate) fn new(fd: BorrowedFd<'static>) -> Self {
        let kind = fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let way = match kind {
            Ok(FileType::RegularFile | FileType::BlockDevice | FileType::Directory) => Way::Plain,
            _ => Way::NoWait,
        };
        Self { fd, way }
    }

    pub(crate) const fn fd(&self) -> BorrowedFd<'static> {
        self.fd
    }

    /// Whether a write may have to wait for another process.
    pub(crate) fn may_wait(&self) -> bool {
        self.way != Way::Plain
    }

    /// Writes as much as can be written now, and returns how much it was.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing can; else what the system says.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.way {
            Way::Plain => retry_on_intr(|| write(self.fd, bytes)),
            Way::Polled => self.write_polled(bytes),
            Way::NoWait => {
                // At the position where the file is, as by `write`.
                let slices = [io::IoSlice::new(bytes)];
                match retry_on_intr(|| pwritev2(self.fd, &slices, u64::MAX, ReadWriteFlags::NOWAIT)) {
                    // Not by this file, not by this kernel, not in this sandbox.
                    Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM | Errno::SPIPE) => {
                        self.way = Way::Polled;
                        self.write_polled(bytes)
                    }
                    written => written,
                }
            }
        };
        match written {
            Ok(0) if !bytes.is_empty() => Err(io::ErrorKind::WriteZero.into()),
            written => Ok(written?),
        }
    }

    fn write_polled(&self, bytes: &[u8]) -> rustix::io::Result<usize> {
        if !self.has_room() {
            return Err(Errno::AGAIN);
        }
        let (piece, _) = bytes.split_at(bytes.len().min(ATOMIC));
        retry_on_intr(|| write(self.fd, piece))
    }

    /// Whether a write would not block, be it because it would fail.
    pub(crate) fn has_room(&self) -> bool {
        self.poll(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
    }

    /// Blocks until there is room.
    pub(crate) fn wait(&self) {
        self.poll(None);
    }

    fn poll(&self, limit: Option<&Timespec>) -> bool {
        let ready = retry_on_intr(|| poll(&mut [PollFd::from_borrowed_fd(self.fd, PollFlags::OUT)], limit));
        // What cannot be asked is tried.
        ready.is_err() || ready == Ok(1)
    }
}
