//! Standard output and standard error.

use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _};

use anyhow::Context as _;

/// Standard output: buffered, and flushed by whoever has nothing more to say for now.
pub(crate) struct Output {
    stdout: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Self { stdout: BufWriter::with_capacity(64 << 10, stdout.lock()), is_terminal }
    }

    pub(crate) const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Writes these bytes and a newline.
    pub(crate) fn line(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stdout.write_all(bytes).and_then(|()| self.stdout.write_all(b"\n")).context(GONE)
    }

    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        self.stdout.flush().context(GONE)
    }
}

const GONE: &str = "cannot write to standard output";

/// Writes a line to standard error, and does not mind if nobody reads it.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
