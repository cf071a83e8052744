//! Writing in a separate thread, where every way of writing might block.

use std::{
    io,
    mem::replace,
    os::fd::BorrowedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustix::io::{Errno, retry_on_intr, write};

/// Bytes that the thread is given at a time.
const PIECE: usize = 4096;
/// How long the caller waits for the thread. A terminal that is being read takes some microseconds.
const AT_ONCE: Duration = Duration::from_millis(5);

/// A thread that writes to one descriptor, and may be stuck there until the process ends.
#[derive(Debug)]
pub(crate) struct Relay {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The state of the thread.
#[derive(Debug)]
enum State {
    /// Idle: it can take a piece.
    Idle,
    /// It is writing this piece.
    Given(Vec<u8>),
    Writing,
    /// It has written the piece, or this much of it.
    Done(rustix::io::Result<usize>),
}

impl Relay {
    /// # Errors
    ///
    /// No thread can be started.
    pub(crate) fn start(fd: BorrowedFd<'static>) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::new(State::Idle), changed: Condvar::new() });
        let relay = Self { shared: Arc::clone(&shared) };
        thread::Builder::new().name("output".to_owned()).spawn(move || shared.write_out(fd))?;
        Ok(relay)
    }

    /// Returns how many bytes were written. After `AGAIN`, call it again with bytes that begin the same way: the first
    /// of them may be being written.
    pub(crate) fn write(&self, bytes: &[u8]) -> rustix::io::Result<usize> {
        let mut state = self.shared.lock();
        if matches!(*state, State::Idle) {
            let (piece, _) = bytes.split_at(bytes.len().min(PIECE));
            *state = State::Given(piece.to_vec());
            self.shared.changed.notify_all();
            let waited = self.shared.changed.wait_timeout_while(state, AT_ONCE, |state| !state.is_done());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        match replace(&mut *state, State::Idle) {
            State::Done(written) => written,
            busy => {
                *state = busy;
                Err(Errno::AGAIN)
            }
        }
    }

    /// Whether [`write`](Self::write) would not return `AGAIN`.
    pub(crate) fn has_room(&self) -> bool {
        !self.shared.lock().is_busy()
    }

    /// Blocks until there is room.
    pub(crate) fn wait(&self) {
        let waited = self.shared.changed.wait_while(self.shared.lock(), |state| state.is_busy());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop of the thread.
    fn write_out(&self, fd: BorrowedFd<'static>) {
        loop {
            let waited = self.changed.wait_while(self.lock(), |state| !matches!(state, State::Given(_)));
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            let State::Given(piece) = replace(&mut *state, State::Writing) else { continue };
            drop(state);
            let written = retry_on_intr(|| write(fd, &piece));
            *self.lock() = State::Done(written);
            self.changed.notify_all();
        }
    }
}

impl State {
    const fn is_busy(&self) -> bool {
        matches!(self, Self::Given(_) | Self::Writing)
    }

    const fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}
