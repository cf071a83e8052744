//! Standard output and standard error.

use std::{
    io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _},
    os::fd::AsFd as _,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::retry_on_intr,
};
use tokio::sync::Notify;

use crate::{json::Object, text::escaped_json};

/// Standard output: buffered, and flushed by whoever has nothing more to say for now.
pub(crate) struct Output {
    stdout: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
    /// Notified when its reader has gone.
    abandoned: Arc<Notify>,
}

impl Output {
    pub(crate) fn new() -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let abandoned = Arc::new(Notify::new());
        if !is_terminal {
            let abandoned = Arc::clone(&abandoned);
            // Without this thread the end is noticed at the next write.
            drop(thread::Builder::new().name("stdout".to_owned()).spawn(move || wait_for_abandonment(&abandoned)));
        }
        Self { stdout: BufWriter::with_capacity(64 << 10, stdout.lock()), is_terminal, abandoned }
    }

    /// Waits until nobody reads standard output any longer, as when the other end of the pipe is closed. Cancel safe.
    pub(crate) async fn abandoned(&self) -> anyhow::Error {
        self.abandoned.notified().await;
        anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)).context(GONE)
    }

    pub(crate) const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Writes these bytes and a newline.
    pub(crate) fn line(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stdout.write_all(bytes).and_then(|()| self.stdout.write_all(b"\n")).context(GONE)
    }

    /// Writes this object as a line; on a terminal with everything escaped that it would obey.
    pub(crate) fn object(&mut self, object: &Object<'_>) -> anyhow::Result<()> {
        let line = object.to_line();
        if self.is_terminal { self.line(escaped_json(&line).as_bytes()) } else { self.line(line.as_bytes()) }
    }

    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        self.stdout.flush().context(GONE)
    }
}

/// In a thread because the descriptor may be anything, a file too, and is shared with other processes: it can neither be
/// given to the runtime nor made non-blocking. Files and devices never end it; the end of the process does.
fn wait_for_abandonment(abandoned: &Notify) {
    let stdout = io::stdout();
    let stdout = stdout.as_fd();
    // Nothing is asked for: errors and hang-ups are told in any case (`poll(2)`).
    if retry_on_intr(|| poll(&mut [PollFd::from_borrowed_fd(stdout, PollFlags::empty())], None)).is_ok() {
        abandoned.notify_one();
    }
}

const GONE: &str = "cannot write to standard output";

/// Writes a line to standard error, and does not mind if nobody reads it.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// How long the last word of an impatient end may take.
const LAST_WORD: Duration = Duration::from_millis(200);

/// The last line of a process that ends where it stands. Standard error may be as stuck as standard output is: this word is
/// tried, not waited for.
pub(crate) async fn last_word(line: &'static str) {
    let word = tokio::task::spawn_blocking(|| note(line));
    let _ = tokio::time::timeout(LAST_WORD, word).await;
}
