//! Standard output.

use std::{
    io::{self, IsTerminal as _},
    mem,
};

use anyhow::Context as _;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, write},
    stdio::stdout,
};
use serde::Serialize;
use terminal_text::{escaped, escaped_json};

/// Bytes that are collected before they are written.
const BLOCK: usize = 64 << 10;

/// Standard output: buffered; flush it when there is nothing more to print for now.
#[derive(Debug)]
pub(crate) struct Output {
    is_terminal: bool,
    /// Whether objects are wanted in place of text.
    is_json: bool,
    buffer: Vec<u8>,
}

impl Output {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { is_terminal: io::stdout().is_terminal(), is_json, buffer: Vec::new() }
    }

    pub(crate) const fn is_json(&self) -> bool {
        self.is_json
    }

    pub(crate) const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Prints bytes as they are; on a terminal escaped, each line for itself, with a newline at the end.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if !self.is_terminal {
            self.buffer.extend_from_slice(bytes);
            return self.flush_if_full();
        }
        let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        text.split(|byte| *byte == b'\n').try_for_each(|line| self.line(&escaped(line)))
    }

    /// Prints a line in which everything from the server is escaped already.
    pub(crate) fn line(&mut self, line: &str) -> anyhow::Result<()> {
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.push(b'\n');
        self.flush_if_full()
    }

    /// Prints an object as one line of JSON.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(object).context("cannot write JSON")?;
        if self.is_terminal { self.line(&escaped_json(&line)) } else { self.line(&line) }
    }

    fn flush_if_full(&mut self) -> anyhow::Result<()> {
        if self.buffer.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    /// Writes everything. Blocks while there is no room.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        let buffer = mem::take(&mut self.buffer);
        write_all(&buffer).context("cannot write to standard output")
    }
}

/// Writes to standard output, whatever its `O_NONBLOCK` flag says: it is shared with other processes.
fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(stdout(), bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait()?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until standard output takes more.
fn wait() -> io::Result<()> {
    match poll(&mut [PollFd::from_borrowed_fd(stdout(), PollFlags::OUT)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
