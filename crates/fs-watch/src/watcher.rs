//! The consumer's handle: a stream of events, and the options it starts with.

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_core::Stream;

use crate::backend::{Backend, KernelEvents};
use crate::driver::{Arming, Driver};
use crate::error::Error;
use crate::event::Event;
use crate::health::Health;
use crate::hints::Hints;
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::roster::{DotFiles, Roster};

/// Watches one directory for sockets: a [`Stream`] of [`Event`]s.
///
/// It works on a thread of its own and needs no particular runtime. While the consumer does not take
/// events, at most about a thousand wait; then the watcher pauses and later resumes with what has become
/// of the directory meanwhile, so a slow consumer misses intermediate states and never a final one.
///
/// Dropping it stops the thread without waiting; [`shutdown`](Self::shutdown) waits.
#[derive(Debug)]
#[must_use = "a watcher that is dropped watches nothing"]
pub struct Watcher {
    dir: PathBuf,
    hints: Hints,
    outbox: Arc<Outbox>,
    thread: Option<JoinHandle<()>>,
}

/// How to watch; from [`Watcher::builder`].
#[must_use = "nothing is watched before `start`"]
pub struct Builder {
    dir: PathBuf,
    safety_interval: Duration,
    dot_files: DotFiles,
    backend: Box<dyn Backend>,
}

impl Watcher {
    /// The time between complete looks that happen without any hint, unless
    /// [chosen otherwise](Builder::safety_interval).
    pub const SAFETY_INTERVAL: Duration = Duration::from_secs(5);

    /// Watches `dir` with the default options: the kernel's events, a complete look every five seconds,
    /// dot-files ignored.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub async fn start(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::builder(dir).start().await
    }

    /// Options for watching `dir`. A symbolic link to a directory is followed, and noticed when it comes to
    /// lead elsewhere.
    pub fn builder(dir: impl Into<PathBuf>) -> Builder {
        Builder {
            dir: dir.into(),
            safety_interval: Self::SAFETY_INTERVAL,
            dot_files: DotFiles::default(),
            backend: Box::new(KernelEvents::default()),
        }
    }

    /// The directory, as it was given.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The next event. `None` only if the watching thread has ended by itself, because a backend of the
    /// caller's panicked in it.
    ///
    /// # Cancel safety
    ///
    /// An event is taken in the same poll that returns it, so dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| self.outbox.poll_event(context)).await
    }

    /// Stops watching, and returns when the thread, and everything the backend has started, are gone.
    /// Events not yet taken are dropped.
    ///
    /// Waits as long as the filesystem keeps the thread in a system call; a backend that does not answer
    /// is left behind after two seconds.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the thread to end by itself, like dropping the watcher.
    pub async fn shutdown(mut self) {
        self.hints.stop();
        poll_fn(|context| self.outbox.poll_finished(context)).await;
        if let Some(thread) = self.thread.take() {
            // To say so was the thread's last act, so this does not wait. A panic in it has shown
            // itself as the end of the stream.
            let _ = thread.join();
        }
    }
}

impl Stream for Watcher {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.outbox.poll_event(context)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.hints.stop();
    }
}

impl Builder {
    /// How often to look at everything although nothing hinted at a change: the net under whatever a
    /// filesystem or a kernel fails to report. Five seconds unless set; from a millisecond to a day, and
    /// values beyond are taken for the nearest. Each look costs about a microsecond per entry of the
    /// directory, and comes up to a tenth early.
    pub fn safety_interval(mut self, interval: Duration) -> Self {
        self.safety_interval = interval;
        self
    }

    /// Whether sockets whose name begins with a dot are reported. They are not unless this is set.
    pub fn dot_files(mut self, dot_files: DotFiles) -> Self {
        self.dot_files = dot_files;
        self
    }

    /// Where hints come from, if not from the kernel's events.
    pub fn backend(mut self, backend: impl Backend) -> Self {
        self.backend = Box::new(backend);
        self
    }

    /// Starts watching. When this returns, the directory is armed and has been listed; the stream begins
    /// with [`Event::Init`].
    ///
    /// # Errors
    ///
    /// The directory does not exist, is none, or cannot be listed; or there is no thread to be had. A
    /// backend that cannot arm is no error: the stream begins with [`Event::Degraded`], and the directory
    /// is looked at four times a second.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops what it has started.
    pub async fn start(self) -> Result<Watcher, Error> {
        let Self { dir, safety_interval, dot_files, backend } = self;
        let absolute = std::path::absolute(&dir).map_err(|source| Error::Unreadable { dir: dir.clone(), source })?;
        let hints = Hints::default();
        let outbox = Arc::new(Outbox::new(hints.clone()));
        let interval = backend.look_every().map_or(safety_interval, |own| own.min(safety_interval));
        let interval = interval.clamp(Duration::from_millis(1), Duration::from_secs(86_400));
        let driver = Driver {
            dir: absolute,
            roster: Roster::new(&dir, dot_files),
            backend,
            hints: hints.clone(),
            outbox: outbox.clone(),
            pace: Pace::new(interval, Instant::now()),
            arming: Arming::default(),
            health: Health::default(),
        };
        let thread = thread::Builder::new()
            .name("fs-watch".into())
            .spawn(move || driver.run())
            .map_err(|source| Error::NoThread { dir: dir.clone(), source })?;
        let watcher = Watcher { dir, hints, outbox, thread: Some(thread) };
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
