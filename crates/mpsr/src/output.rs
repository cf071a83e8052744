//! Standard output.

use std::{
    io::{self, IsTerminal as _},
    os::fd::BorrowedFd,
};

use anyhow::Context as _;
use rustix::stdio::stdout;
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime::Handle,
    time::sleep,
};

pub(crate) use crate::notes::note;
use crate::{
    json::{Line, Object},
    notes::{last_note, settle},
    stream::{AGAIN, Stream},
    text::{MARGIN, escaped_json, wrapped},
    width::Width,
};

/// Bytes that are collected before they are written.
const BLOCK: usize = 64 << 10;

/// Standard output, with a buffer. Flush it when there is nothing more to print for now.
#[derive(Debug)]
pub(crate) struct Output {
    stream: Stream,
    is_terminal: bool,
    buffer: Vec<u8>,
    /// How much of `buffer` has been written.
    start: usize,
    /// The total number of bytes that the system has accepted.
    accepted: u64,
    /// Reports when the stream is writable or was closed. `None` for a file, and outside a runtime.
    readiness: Option<AsyncFd<BorrowedFd<'static>>>,
}

impl Output {
    pub(crate) fn new() -> Self {
        let stream = Stream::unblocked(stdout());
        let is_async = stream.may_wait() && Handle::try_current().is_ok();
        let readiness = if is_async { register(&stream) } else { None };
        let is_terminal = io::stdout().is_terminal();
        Self { stream, is_terminal, buffer: Vec::with_capacity(BLOCK), start: 0, accepted: 0, readiness }
    }

    /// Waits until the reader of standard output has gone, for example when the other end of the pipe was closed.
    /// Cancel safe.
    pub(crate) async fn abandoned(&self) -> anyhow::Error {
        let Some(readiness) = &self.readiness else { return std::future::pending().await };
        // An error here can only come from the runtime, which ends with the process.
        let _ = readiness.ready(Interest::ERROR).await;
        anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)).context(GONE)
    }

    pub(crate) const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Adds a line for people; on a terminal, in rows that fit. Blocks if a block is complete and there is no room for
    /// it; [`push`](Self::push) does not.
    pub(crate) fn line(&mut self, line: &str) -> anyhow::Result<()> {
        if self.is_terminal {
            self.push_rows(line)
        } else {
            self.push(line.as_bytes(), b"\n")
        }
        if self.is_full() { self.flush() } else { Ok(()) }
    }

    /// Adds this object as a line, like [`line`](Self::line). On a terminal, everything that it would interpret is
    /// escaped.
    pub(crate) fn object(&mut self, object: &Object<'_>) -> anyhow::Result<()> {
        self.push_object(object);
        if self.is_full() { self.flush() } else { Ok(()) }
    }

    /// Adds these bytes and this ending to the buffer without writing.
    pub(crate) fn push(&mut self, bytes: &[u8], ending: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.buffer.extend_from_slice(ending);
    }

    /// Adds this object as a line without writing.
    pub(crate) fn push_object(&mut self, object: &impl Line) {
        let line = object.to_line();
        if self.is_terminal {
            self.push(escaped_json(&line).as_bytes(), b"\n")
        } else {
            self.push(line.as_bytes(), b"\n")
        }
    }

    /// Adds a line for people, broken into rows that fit the terminal, without writing. Each row after the first begins
    /// with [`MARGIN`].
    pub(crate) fn push_rows(&mut self, line: &str) {
        self.push(wrapped(line, self.width(), MARGIN).as_bytes(), b"\n");
    }

    /// The number of columns of the terminal.
    pub(crate) fn width(&self) -> Width {
        Width::of(self.stream.fd())
    }

    /// Whether a block is complete, and should be written before more is added.
    pub(crate) const fn is_full(&self) -> bool {
        self.buffer.len() >= BLOCK
    }

    /// The total number of bytes that were added.
    pub(crate) const fn added(&self) -> u64 {
        self.accepted + (self.buffer.len() - self.start) as u64
    }

    /// The total number of bytes that the system has accepted.
    pub(crate) const fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Writes everything, and blocks if there is no room.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        while !self.write_some()? {
            self.stream.wait();
        }
        Ok(())
    }

    /// Writes everything, and waits if there is no room. Cancel safe: no written byte is forgotten.
    pub(crate) async fn drain(&mut self) -> anyhow::Result<()> {
        while !self.write_some()? {
            self.writable().await;
        }
        Ok(())
    }

    /// Writes what fits. Returns whether that was everything.
    fn write_some(&mut self) -> anyhow::Result<bool> {
        while let Some(rest) = self.buffer.get(self.start..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(written) => {
                    self.start += written;
                    self.accepted += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error).context(GONE),
            }
        }
        self.buffer.clear();
        // Do not keep the memory of one large message.
        self.buffer.shrink_to(2 * BLOCK);
        self.start = 0;
        Ok(true)
    }

    async fn writable(&self) {
        let Some(readiness) = self.readiness.as_ref().filter(|_| self.stream.is_announced()) else {
            // There is no notification, so try again later.
            return sleep(AGAIN).await;
        };
        loop {
            let Ok(mut ready) = readiness.writable().await else { return };
            if self.stream.has_room() {
                return;
            }
            ready.clear_ready();
        }
    }
}

/// `None` if the kernel cannot report readiness for this file.
#[expect(
    deprecated,
    reason = "its replacement is unsafe for the sake of descriptors that get closed; this one stays open"
)]
fn register(stream: &Stream) -> Option<AsyncFd<BorrowedFd<'static>>> {
    AsyncFd::with_interest(stream.fd(), Interest::WRITABLE).ok()
}

/// Whether writing failed because the reader of a pipe has gone.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

const GONE: &str = "cannot write to standard output";

/// Writes the last line of a process that ends immediately. Standard error may be stuck, too, so this waits at most 200
/// ms.
pub(crate) async fn last_word(line: &'static str) {
    last_note(line);
    // This blocks the thread, but the process ends next.
    settle();
}
