//! The consumer's handle: a stream of events, and the options it starts with.

use std::collections::HashSet;
use std::ffi::OsString;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_core::Stream;
use socket_file::{DotFiles, Probing};

use crate::backend::{Backend, Inotify};
use crate::driver::{Arming, Driver};
use crate::error::Error;
use crate::event::Event;
use crate::health::{Bulletin, Health};
use crate::hints::Hints;
use crate::ledger::Ledger;
use crate::missing::Missing;
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::roster::Roster;

/// Watches one directory for sockets: a [`Stream`] of [`Event`]s.
///
/// It works on its own thread and needs no particular runtime. While you do not take events, at most about a thousand
/// wait. Then the watcher pauses, and later continues with the current state of the directory. A slow consumer
/// therefore misses intermediate states, but never a final one.
///
/// It holds at most 512 bytes for each known socket, plus its name. An idle watcher wakes once in each safety interval.
///
/// Dropping it stops the thread without waiting; [`shutdown`](Self::shutdown) waits.
#[derive(Debug)]
#[must_use = "a watcher that is dropped watches nothing"]
pub struct Watcher {
    dir: PathBuf,
    hints: Hints,
    outbox: Arc<Outbox>,
    ledger: Arc<Mutex<Ledger>>,
    /// The consumer has found sockets by itself that the thread should probe.
    unasked: bool,
    thread: Option<JoinHandle<()>>,
}

/// Options of a watcher, from [`Watcher::builder`].
#[must_use = "nothing is watched before `start`"]
pub struct Builder {
    dir: PathBuf,
    safety_interval: Duration,
    dot_files: DotFiles,
    missing: Missing,
    probing: Probing,
    backend: Box<dyn Backend>,
}

/// The consumer looks up at most this many names by itself, which takes some microseconds.
const IN_PLACE: usize = 16;

/// At most this many times in one poll.
const TURNS: usize = 4;

impl Watcher {
    /// The time between complete scans without a hint, unless [you set another](Builder::safety_interval).
    pub const SAFETY_INTERVAL: Duration = Duration::from_secs(5);

    /// Watches `dir` with the default options: the kernel's events, a complete scan every five seconds, dot-files
    /// ignored.
    ///
    /// # Errors
    ///
    /// See [`Builder::start`].
    pub async fn start(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::builder(dir).start().await
    }

    /// Options for watching `dir`. A symbolic link to a directory is followed, and the watcher notices if it changes.
    pub fn builder(dir: impl Into<PathBuf>) -> Builder {
        Builder {
            dir: dir.into(),
            safety_interval: Self::SAFETY_INTERVAL,
            dot_files: DotFiles::default(),
            missing: Missing::default(),
            probing: Probing::default(),
            backend: Box::new(Inotify::default()),
        }
    }

    /// The directory, as you gave it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The next event. `None` only if the watching thread has ended by itself, because your backend panicked in it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an event is taken in the same poll that returns it.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| self.poll_event(context)).await
    }

    /// The next event if there is one, without waiting.
    pub fn try_next(&mut self) -> Option<Event> {
        match self.poll_event(&Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        }
    }

    /// Waits until everything that happened before this call has been seen. Its events are then in the stream, and
    /// [`try_next`](Self::try_next) returns them until it returns `None`.
    ///
    /// This makes a complete scan, which begins after the call and is not delayed, neither by the pause after the last
    /// scan nor by events that were not taken. It also reads the kernel's table of sockets, so that `Ready` and `Stale`
    /// are up to date. It needs no help from the filesystem, so it works on all of them and with any backend. It costs
    /// as much as a scan: about a microsecond per entry of the directory. A socket that came and went before the call,
    /// between two scans, was not seen and is not reported.
    ///
    /// Any number of tasks may wait at the same time. If you call this repeatedly without taking events, sockets that
    /// came and went in between are not reported.
    ///
    /// # Errors
    ///
    /// [`Error::Blind`] if the directory cannot be read. (If it does not exist, that is not an error: it has no
    /// sockets.) [`Error::Stopped`] if the watching thread has ended by itself.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost, and the scan still happens.
    pub async fn sync(&self) -> Result<(), Error> {
        let ticket = self.hints.request_scan();
        match poll_fn(|context| self.outbox.poll_looked(ticket, context)).await {
            Some(None) => Ok(()),
            Some(Some(source)) => Err(Error::Blind { dir: self.dir.clone(), source }),
            None => Err(Error::Stopped { dir: self.dir.clone() }),
        }
    }

    /// Requests a scan and a probe of everything as soon as possible, without waiting for it.
    #[cfg(feature = "tokio")]
    pub(crate) fn hurry(&self) {
        self.hints.request_scan();
    }

    fn poll_event(&mut self, context: &Context<'_>) -> Poll<Option<Event>> {
        if let Some(event) = self.outbox.take_event() {
            return Poll::Ready(Some(event));
        }
        for _ in 0..TURNS {
            let names = self.hints.take_few(IN_PLACE, context);
            if names.is_empty() {
                if std::mem::take(&mut self.unasked) {
                    // Not earlier: waking a thread takes longer than a lookup, and what the lookup finds is taken here.
                    self.hints.leave(HashSet::new());
                }
                // This also wakes the task for the next event.
                return self.outbox.poll_event(context);
            }
            self.scan_in_place(names);
            if let Some(event) = self.outbox.take_event() {
                return Poll::Ready(Some(event));
            }
        }
        // Sockets change without end. Let other tasks run.
        context.waker().wake_by_ref();
        self.outbox.poll_event(context)
    }

    /// On a filesystem in memory, a lookup never blocks. The shortest way from a hint to an event is then to look up
    /// the name here instead of waking a thread.
    fn scan_in_place(&mut self, names: HashSet<OsString>) {
        let mut ledger = match self.ledger.try_lock() {
            Ok(ledger) => ledger,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            // The thread is scanning or probing: leave it this work, too.
            Err(TryLockError::WouldBlock) => return self.hints.leave(names),
        };
        ledger.scan_names(names);
        ledger.publish(Bulletin::SILENCE, &self.outbox);
        self.unasked |= ledger.deadline(Instant::now()).is_some();
    }

    /// Stops watching, and returns when the thread, and everything that the backend has started, have ended. Events
    /// that were not taken are dropped.
    ///
    /// Waits as long as the filesystem keeps the thread in a system call. A backend that does not answer is abandoned
    /// after two seconds.
    ///
    /// # Cancel safety
    ///
    /// If you drop the future, the thread ends by itself, as it does if you drop the watcher.
    pub async fn shutdown(mut self) {
        self.hints.stop();
        poll_fn(|context| self.outbox.poll_finished(context)).await;
        if let Some(thread) = self.thread.take() {
            // Reporting its end was the thread's last act, so this does not wait. A panic in it has already shown as
            // the end of the stream.
            let _ = thread.join();
        }
    }
}

impl Stream for Watcher {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(context)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.hints.stop();
    }
}

impl Builder {
    /// How often to scan everything without a hint. These scans find whatever a filesystem or a kernel fails to report.
    /// Five seconds by default; values are clamped to between a millisecond and a day. Each scan costs about a
    /// microsecond per entry of the directory, and comes up to a tenth early.
    pub fn safety_interval(mut self, interval: Duration) -> Self {
        self.safety_interval = interval;
        self
    }

    /// Whether to report sockets with names that begin with a dot. By default they are not reported.
    pub fn dot_files(mut self, dot_files: DotFiles) -> Self {
        self.dot_files = dot_files;
        self
    }

    /// What to do if the directory does not exist. By default, `start` fails.
    pub fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// How to find out whether a server listens. By default the watcher asks only the kernel, and no server notices:
    /// see [`Probing::Kernel`].
    pub fn probing(mut self, probing: Probing) -> Self {
        self.probing = probing;
        self
    }

    /// Sets another source of hints. By default they come from the kernel's events.
    pub fn backend(mut self, backend: impl Backend) -> Self {
        self.backend = Box::new(backend);
        self
    }

    /// Starts watching. When this returns, the directory is armed and has been listed. The stream begins with
    /// [`Event::Init`].
    ///
    /// # Errors
    ///
    /// The directory does not exist, is not a directory, or cannot be listed; or no thread can be started. If the
    /// backend cannot arm, that is not an error: the stream begins with [`Event::Degraded`], and the directory is
    /// scanned four times a second.
    ///
    /// # Cancel safety
    ///
    /// If you drop the future, everything that it has started is stopped.
    pub async fn start(self) -> Result<Watcher, Error> {
        let Self { dir, safety_interval, dot_files, missing, probing, backend } = self;
        let absolute = std::path::absolute(&dir).map_err(|source| Error::Unreadable { dir: dir.clone(), source })?;
        let hints = Hints::default();
        let outbox = Arc::new(Outbox::new(hints.clone()));
        let interval = backend.scan_interval().map_or(safety_interval, |own| own.min(safety_interval));
        let interval = interval.clamp(Duration::from_millis(1), Duration::from_secs(86_400));
        let ledger = Ledger::new(absolute.clone(), Roster::new(&dir, dot_files), probing);
        let ledger = Arc::new(Mutex::new(ledger));
        let driver = Driver {
            dir: dir.clone(),
            absolute,
            missing,
            probing,
            ledger: ledger.clone(),
            backend,
            hints: hints.clone(),
            outbox: outbox.clone(),
            pace: Pace::new(interval, Instant::now()),
            arming: Arming::default(),
            health: Health::default(),
            seen: None,
        };
        let thread = thread::Builder::new()
            .name("fs-watch".into())
            .spawn(move || driver.run())
            .map_err(|source| Error::NoThread { dir: dir.clone(), source })?;
        let watcher = Watcher { dir, hints, outbox, ledger, unasked: false, thread: Some(thread) };
        match poll_fn(|context| watcher.outbox.poll_started(context)).await {
            Some(Ok(())) => Ok(watcher),
            Some(Err(error)) => Err(error),
            None => Err(Error::Stopped { dir: watcher.dir.clone() }),
        }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("dir", &self.dir)
            .field("safety_interval", &self.safety_interval)
            .field("dot_files", &self.dot_files)
            .finish_non_exhaustive()
    }
}
