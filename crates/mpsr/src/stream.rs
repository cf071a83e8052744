//! Writing to a standard stream without blocking on it.
//!
//! Other processes share a standard stream, so we must not set or clear its `O_NONBLOCK` flag, and it may have either
//! value. This module writes what fits and returns `WouldBlock` for the rest, regardless of the flag.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    thread::sleep,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, Mode, OFlags, fstat, open},
    io::{Errno, ReadWriteFlags, pwritev2, retry_on_intr, write},
    termios::isatty,
};

use crate::relay::Relay;

/// `PIPE_BUF`: a pipe that `poll` calls writable takes this many bytes without blocking.
const ATOMIC: usize = 4096;

/// When to try again if `poll` said that writing would work and it did not.
pub(crate) const AGAIN: Duration = Duration::from_millis(5);

/// One standard stream.
#[derive(Debug)]
pub(crate) struct Stream {
    fd: BorrowedFd<'static>,
    way: Way,
    /// There is some room, but not enough for the next byte.
    is_short_of_room: bool,
}

/// How to write without blocking.
#[derive(Debug)]
enum Way {
    /// A file: a write waits for no other process.
    Plain,
    /// `RWF_NOWAIT`: pipes (Linux 6.4) and sockets.
    NoWait,
    /// Devices, and pipes of older kernels: ask with `poll`, then write a little.
    Polled,
    /// A terminal. It counts as writable if a single byte fits, so polling is not enough. We opened it again, as our
    /// own file description with `O_NONBLOCK`.
    Reopened,
    /// A terminal that we may not open again, for example after `su`.
    Relayed(Relay),
}

impl Stream {
    pub(crate) fn new(fd: BorrowedFd<'static>) -> Self {
        let kind = fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let (fd, way) = match kind {
            Ok(FileType::RegularFile | FileType::BlockDevice | FileType::Directory) => (fd, Way::Plain),
            Ok(FileType::CharacterDevice) if isatty(fd) => match reopen(fd) {
                Ok(own) => (own, Way::Reopened),
                Err(_) => (fd, Way::Polled),
            },
            _ => (fd, Way::NoWait),
        };
        Self { fd, way, is_short_of_room: false }
    }

    /// The same for a thread that must not block: another thread writes to a terminal that cannot be opened again. If
    /// that thread cannot be started, a stuck terminal blocks the caller.
    pub(crate) fn unblocked(fd: BorrowedFd<'static>) -> Self {
        let mut stream = Self::new(fd);
        if matches!(stream.way, Way::Polled)
            && let Ok(relay) = Relay::start(stream.fd)
        {
            stream.way = Way::Relayed(relay);
        }
        stream
    }

    pub(crate) const fn fd(&self) -> BorrowedFd<'static> {
        self.fd
    }

    /// Whether a write may have to wait for another process.
    pub(crate) const fn may_wait(&self) -> bool {
        !matches!(self.way, Way::Plain)
    }

    /// Whether `poll` and `epoll` report when to try again. If not, try again after [`AGAIN`].
    pub(crate) const fn is_announced(&self) -> bool {
        !self.is_short_of_room && !matches!(self.way, Way::Relayed(_))
    }

    /// Writes as much as can be written now, and returns how much it was.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing can be written; the next call must then have bytes that begin the same way. Otherwise
    /// the system's error.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &self.way {
            Way::Plain => retry_on_intr(|| write(self.fd, bytes)),
            Way::Polled => self.write_polled(bytes),
            Way::Relayed(relay) => relay.write(bytes),
            Way::Reopened => {
                let written = retry_on_intr(|| write(self.fd, bytes));
                // A newline needs room for two columns, and another process may be in the middle of a write.
                self.is_short_of_room = written == Err(Errno::AGAIN) && self.has_room();
                written
            }
            Way::NoWait => {
                // -1: at the file's own position, as `write` does.
                let slices = [io::IoSlice::new(bytes)];
                match retry_on_intr(|| pwritev2(self.fd, &slices, u64::MAX, ReadWriteFlags::NOWAIT)) {
                    // Not supported for this file, by this kernel, or in this sandbox.
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

    /// Whether a write would not block, even if only because it would fail.
    pub(crate) fn has_room(&self) -> bool {
        match &self.way {
            Way::Relayed(relay) => relay.has_room(),
            _ => self.poll(Some(&Timespec { tv_sec: 0, tv_nsec: 0 })),
        }
    }

    /// Blocks until there is room.
    pub(crate) fn wait(&self) {
        match &self.way {
            Way::Relayed(relay) => relay.wait(),
            _ if self.is_short_of_room => sleep(AGAIN),
            _ => drop(self.poll(None)),
        }
    }

    fn poll(&self, limit: Option<&Timespec>) -> bool {
        let ready = retry_on_intr(|| poll(&mut [PollFd::from_borrowed_fd(self.fd, PollFlags::OUT)], limit));
        // If we cannot ask, we try.
        ready.is_err() || ready == Ok(1)
    }
}

/// The same terminal, without the flags that we share with other processes.
fn reopen(terminal: BorrowedFd<'_>) -> rustix::io::Result<BorrowedFd<'static>> {
    let path = format!("/proc/self/fd/{}", terminal.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let own = open(path, flags, Mode::empty())?;
    // A standard stream stays open until the process ends, and so does this one.
    let own: &'static OwnedFd = Box::leak(Box::new(own));
    Ok(own.as_fd())
}
