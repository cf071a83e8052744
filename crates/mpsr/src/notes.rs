//! Standard error: notes for people, which never hold up the messages.
//!
//! ```text
//!   note() ──▶ queue, 64 KiB ──▶ a thread ──▶ standard error
//!                └─ full: the note is dropped and counted
//! ```
//!
//! A thread writes them, because standard error may be anything that is not read: a pipe to a supervisor, or a stopped
//! terminal.

use std::{
    collections::VecDeque,
    io::IsTerminal as _,
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::stdio::stderr;

use crate::{
    json::{Line as _, Object},
    stream::Stream,
    text::{escaped_json, wrapped_words},
    width::Width,
};

/// How many bytes of notes may wait. Further notes are dropped.
const BOUND: usize = 64 << 10;
/// How long the process waits at its end for the last notes to be written.
const LAST_NOTES: Duration = Duration::from_millis(200);

/// Whether the terminal may have printed `^C` at the beginning of the line of the next note.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Records that SIGINT arrived.
pub(crate) fn interrupted() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Queues a line for standard error. Never blocks.
pub(crate) fn note(line: &str) {
    push(Line::Words(line), Bound::Kept);
}

/// Queues a line that is never dropped, for the report and for the reason why the process ends.
pub(crate) fn last_note(line: &str) {
    push(Line::Words(line), Bound::Ignored);
}

/// Queues an object as a line, like [`note`].
pub(crate) fn note_object(object: &Object<'_>) {
    push(Line::Object(&object.to_line()), Bound::Kept);
}

/// Queues an object as a line that is never dropped, for the report.
pub(crate) fn last_object(object: &Object<'_>) {
    push(Line::Object(&object.to_line()), Bound::Ignored);
}

fn push(line: Line<'_>, bound: Bound) {
    let (queue, has_thread) = queue();
    queue.push(line, bound);
    if !has_thread {
        queue.write_what_fits();
    }
}

/// Waits until every note is written, for at most 200 ms. Returns whether they were.
pub(crate) fn settle() -> bool {
    settled_queue().settle(LAST_NOTES)
}

/// The same, before something is printed to a terminal that should come after the notes. It does not wait if standard
/// error is stuck.
pub(crate) fn keep_order() {
    let queue = settled_queue();
    if queue.is_terminal {
        queue.settle_unless_stuck();
    }
}

/// How many notes were dropped because standard error was not read.
pub(crate) fn dropped() -> u64 {
    queue().0.lock().dropped
}

/// The queue. If there is no thread that writes, this first tries to write what is left in it.
fn settled_queue() -> &'static Queue {
    let (queue, has_thread) = queue();
    if !has_thread {
        queue.write_what_fits();
    }
    queue
}

/// The queue, and whether a thread writes its lines.
fn queue() -> (&'static Queue, bool) {
    static QUEUE: OnceLock<Queue> = OnceLock::new();
    static THREAD: OnceLock<bool> = OnceLock::new();
    let queue = QUEUE.get_or_init(Queue::new);
    let has_thread = *THREAD.get_or_init(|| {
        let started = thread::Builder::new().name("notes".to_owned()).spawn(move || queue.write_out());
        started.is_ok()
    });
    (queue, has_thread)
}

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    /// Used if there is no thread.
    stream: OnceLock<Mutex<Stream>>,
    changed: Condvar,
    is_terminal: bool,
}

#[derive(Debug)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// The bytes of `lines`.
    bytes: usize,
    /// The number of dropped notes in total.
    dropped: u64,
    /// How many of these were reported.
    told: u64,
    /// A line is being written.
    is_writing: bool,
    /// A wait for that line has timed out, and nothing was written since.
    is_stuck: bool,
}

/// A queued line. Its kind decides how it is escaped for a terminal.
#[derive(Clone, Copy, Debug)]
enum Line<'a> {
    Words(&'a str),
    Object(&'a str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Kept,
    Ignored,
}

impl Queue {
    fn new() -> Self {
        let state = State { lines: VecDeque::new(), bytes: 0, dropped: 0, told: 0, is_writing: false, is_stuck: false };
        Self {
            state: Mutex::new(state),
            stream: OnceLock::new(),
            changed: Condvar::new(),
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: Line<'_>, bound: Bound) {
        let mut text = match line {
            Line::Words(line) if self.is_terminal => wrapped_words(line, Width::of(stderr()), "     "),
            Line::Object(line) if self.is_terminal => escaped_json(line),
            Line::Words(line) | Line::Object(line) => line.to_owned(),
        };
        if self.is_terminal && INTERRUPTED.swap(false, Ordering::Relaxed) {
            text.insert(0, '\r');
        }
        text.push('\n');
        let mut state = self.lock();
        if bound == Bound::Kept && state.bytes + text.len() > BOUND {
            state.dropped += 1;
            return;
        }
        state.bytes += text.len();
        state.lines.push_back(text.into_bytes());
        drop(state);
        self.changed.notify_all();
    }

    /// The loop of the thread.
    fn write_out(&self) {
        let mut stream = Stream::new(stderr());
        loop {
            let mut state = self.lock();
            let line = loop {
                if let Some(line) = state.next() {
                    break line;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            write_all(&mut stream, &line);
            let mut state = self.lock();
            (state.is_writing, state.is_stuck) = (false, false);
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Used if no thread could be started. If a line does not fit, part of it is lost.
    fn write_what_fits(&self) {
        let stream = self.stream.get_or_init(|| Mutex::new(Stream::new(stderr())));
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        while stream.has_room() {
            let Some(line) = state.next() else { break };
            let _ = stream.write(&line);
            state.is_writing = false;
        }
    }

    fn settle(&self, limit: Duration) -> bool {
        let state = self.lock();
        let (mut state, waited) = self
            .changed
            .wait_timeout_while(state, limit, |state| state.is_writing || !state.lines.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        state.is_stuck = waited.timed_out();
        !waited.timed_out()
    }

    fn settle_unless_stuck(&self) {
        let is_stuck = self.lock().is_stuck;
        if !is_stuck {
            self.settle(LAST_NOTES);
        }
    }
}

impl State {
    /// The next line to write. After the last one, a line that says how many were dropped.
    fn next(&mut self) -> Option<Vec<u8>> {
        let line = match self.lines.pop_front() {
            Some(line) => {
                self.bytes -= line.len();
                line
            }
            None => {
                let count = self.dropped - self.told;
                self.told = self.dropped;
                match count {
                    0 => return None,
                    1 => b"mpsr: 1 note was dropped: standard error was not read\n".to_vec(),
                    _ => format!("mpsr: {count} notes were dropped: standard error was not read\n").into_bytes(),
                }
            }
        };
        self.is_writing = true;
        Some(line)
    }
}

/// If standard error is closed, there is nothing left to write to.
fn write_all(stream: &mut Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => stream.wait(),
            Err(_) => return,
        }
    }
}
