//! A byte stream that follows a script.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::{Pace, Step};

/// One end of a stream without another end: it returns the bytes it was made with, keeps the bytes that are written to
/// it, and is ready as its [`Pace`] says.
///
/// The methods are the usual ones of `AsyncRead` and `AsyncWrite`; with the feature `tokio` it implements tokio's
/// traits.
#[derive(Debug)]
pub struct Wire {
    shared: Arc<Mutex<State>>,
}

/// Observes a [`Wire`] from outside, wherever it has been moved. Clones observe the same one.
#[derive(Clone, Debug)]
pub struct Tap {
    shared: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    incoming: Vec<u8>,
    read: usize,
    held_open: bool,
    reading: Pace,
    reader: Option<Waker>,
    written: Vec<u8>,
    closed: bool,
    writing: Pace,
}

impl Wire {
    /// A stream that returns `incoming` and then ends, with this pace in both directions.
    pub fn new(incoming: impl Into<Vec<u8>>, pace: Pace) -> Self {
        let state = State {
            incoming: incoming.into(),
            read: 0,
            held_open: false,
            reading: pace.clone(),
            reader: None,
            written: Vec::new(),
            closed: false,
            writing: pace,
        };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    /// Sets a different pace for writing.
    #[must_use]
    pub fn writing(self, pace: Pace) -> Self {
        lock(&self.shared).writing = pace;
        self
    }

    /// Does not end after the bytes it was made with, but stays silent until [`Tap::feed`] or [`Tap::end`].
    #[must_use]
    pub fn held_open(self) -> Self {
        lock(&self.shared).held_open = true;
        self
    }

    /// A handle to observe it from outside.
    #[must_use]
    pub fn tap(&self) -> Tap {
        Tap { shared: Arc::clone(&self.shared) }
    }

    /// Reads into `room`. 0 bytes mean the end of the stream, unless `room` is empty.
    ///
    /// # Errors
    ///
    /// Those of the pace.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_take(cx, room.len()).map_ok(|bytes| {
            room[..bytes.len()].copy_from_slice(&bytes);
            bytes.len()
        })
    }

    /// The next bytes, at most `max`.
    pub(crate) fn poll_take(&self, cx: &Context<'_>, max: usize) -> Poll<io::Result<Vec<u8>>> {
        let mut state = lock(&self.shared);
        let left = state.incoming.len() - state.read;
        if left == 0 && state.held_open {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        match state.reading.advance() {
            Step::Pending => pending(cx),
            Step::Fails(kind) => Poll::Ready(Err(kind.into())),
            Step::Bytes(count) => {
                let from = state.read;
                state.read += count.max(1).min(max).min(left);
                Poll::Ready(Ok(state.incoming[from..state.read].to_vec()))
            }
        }
    }

    /// Takes bytes from the front of `bytes` and returns how many.
    ///
    /// # Errors
    ///
    /// Those of the pace; `BrokenPipe` after [`poll_close`](Self::poll_close).
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.shared);
        if state.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match state.writing.advance() {
            Step::Pending => pending(cx),
            Step::Fails(kind) => Poll::Ready(Err(kind.into())),
            Step::Bytes(count) => {
                let taken = &bytes[..count.max(1).min(bytes.len())];
                state.written.extend_from_slice(taken);
                Poll::Ready(Ok(taken.len()))
            }
        }
    }

    /// Ready when the pace is not pending. An error of the pace waits for the next write.
    ///
    /// # Errors
    ///
    /// None; it returns a `Result` because such methods usually do.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.shared);
        match state.writing.peek() {
            Step::Bytes(_) | Step::Fails(_) => Poll::Ready(Ok(())),
            Step::Pending => {
                state.writing.advance();
                pending(cx)
            }
        }
    }

    /// Closes the writing direction when the pace is not pending.
    ///
    /// # Errors
    ///
    /// None; it returns a `Result` because such methods usually do.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            lock(&self.shared).closed = true;
        }
        flushed
    }
}

impl Tap {
    /// What was written so far.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        lock(&self.shared).written.clone()
    }

    /// Whether the writing direction was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        lock(&self.shared).closed
    }

    /// How many bytes wait to be read.
    #[must_use]
    pub fn unread(&self) -> usize {
        let state = lock(&self.shared);
        state.incoming.len() - state.read
    }

    /// Adds bytes to be read.
    pub fn feed(&self, bytes: &[u8]) {
        self.change(|state| state.incoming.extend_from_slice(bytes));
    }

    /// Lets a stream end that was [held open](Wire::held_open).
    pub fn end(&self) {
        self.change(|state| state.held_open = false);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.shared);
        change(&mut state);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

fn pending<T>(cx: &Context<'_>) -> Poll<T> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    // A scenario may panic while it holds the wire; its contents are still what was written.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
