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
/// It works on a thread of its own and needs no particular runtime. While the consumer does not take
/// events, at most about a thousand wait; then the watcher pauses and later resumes with what has become
/// of the directory meanwhile, so a slow consumer misses intermediate states and never a final one.
///
/// It holds at most 512 bytes for each socket that is known, and its name. One that is idle wakes once in each safety
/// interval.
///
/// Dropping it stops the thread without waiting; [`shutdown`](Self::shutdown) waits.
#[derive(Debug)]
#[must_use = "a watcher that is dropped watches nothing"]
pub struct Watcher {
    dir: PathBuf,
    hints: Hints,
    outbox: Arc<Outbox>,
    ledger: Arc<Mutex<Ledger>>,
    /// Sockets have been found in place, about whom the thread is to ask.
    unasked: bool,
    thread: Option<JoinHandle<()>>,
}

/// How to watch; from [`Watcher::builder`].
#[must_use = "nothing is watched before `start`"]
pub struct Builder {
    dir: PathBuf,
    safety_interval: Duration,
    dot_files: DotFiles,
    missing: Missing,
    probing: Probing,
    backend: Box<dyn Backend>,
}

/// So many names at most are looked at by the consumer itself, which takes some microseconds.
const IN_PLACE: usize = 16;

/// So many times in one poll.
const TURNS: usize = 4;

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
            missing: Missing::default(),
            probing: Probing::default(),
            backend: Box::new(Inotify::default()),
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
        poll_fn(|context| self.poll_event(context)).await
    }

    /// The next event if there is one already, without waiting.
    pub fn try_next(&mut self) -> Option<Event> {
        match self.poll_event(&Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        }
    }

    /// Waits until everything that happened before this call has been seen: its events are then in the stream, and
    /// [`try_next`](Self::try_next) gives them until it gives `None`.
    ///
    /// It is a complete look, which begins after the call and which nothing holds up, neither the pause after the last
    /// one nor events that nobody has taken; and one question to the kernel's table of sockets, so that `Ready` and
    /// `Stale` are true too. It needs no help from the filesystem, therefore it holds on all of them and with any
    /// backend. It costs what a look costs: about a microsecond per entry of the directory. What came and went before
    /// the call, between two looks, has not been seen and is not told.
    ///
    /// Any number of tasks may wait at a time. A consumer that calls this again and again and takes nothing is not told of
    /// sockets that came and went in between.
    ///
    /// # Errors
    ///
    /// [`Error::Blind`] if the directory could not be read; that it does not exist is no error, for then there is
    /// nothing in it. [`Error::Stopped`] if the watching thread has ended by itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event; the look is made all the same.
    pub async fn sync(&self) -> Result<(), Error> {
        let ticket = self.hints.call_for_look();
        match poll_fn(|context| self.outbox.poll_looked(ticket, context)).await {
            Some(None) => Ok(()),
            Some(Some(source)) => Err(Error::Blind { dir: self.dir.clone(), source }),
            None => Err(Error::Stopped { dir: self.dir.clone() }),
        }
    }

    /// Has everything looked at and asked about as soon as may be, without waiting for it.
    #[cfg(feature = "tokio")]
    pub(crate) fn hurry(&self) {
        self.hints.call_for_look();
    }

    fn poll_event(&mut self, context: &Context<'_>) -> Poll<Option<Event>> {
        if let Some(event) = self.outbox.take_event() {
            return Poll::Ready(Some(event));
        }
        for _ in 0..TURNS {
            let names = self.hints.take_few(IN_PLACE, context);
            if names.is_empty() {
                if std::mem::take(&mut self.unasked) {
                    // Not before: to wake a thread takes longer than to look, and what it finds is taken here.
                    self.hints.leave(HashSet::new());
                }
                // And the task is woken for the next.
                return self.outbox.poll_event(context);
            }
            self.look_in_place(names);
            if let Some(event) = self.outbox.take_event() {
                return Poll::Ready(Some(event));
            }
        }
        // Somebody touches sockets without end. Let others have their turn.
        context.waker().wake_by_ref();
        self.outbox.poll_event(context)
    }

    /// On a filesystem in memory a look waits for nobody, and the shortest way from a hint to an event is to look here
    /// instead of waking a thread that looks.
    fn look_in_place(&mut self, names: HashSet<OsString>) {
        let mut ledger = match self.ledger.try_lock() {
            Ok(ledger) => ledger,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            // The thread looks at everything or asks about it: this is one thing more.
            Err(TryLockError::WouldBlock) => return self.hints.leave(names),
        };
        ledger.look_at_each(names);
        ledger.publish(Bulletin::SILENCE, &self.outbox);
        self.unasked |= ledger.deadline(Instant::now()).is_some();
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

    /// What to do about a directory that is not there. Unless this is set, `start` fails.
    pub fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// How much to do in order to know whether a server listens. Unless this is set, only the kernel is asked, and no server
    /// notices: see [`Probing::Kernel`].
    pub fn probing(mut self, probing: Probing) -> Self {
        self.probing = probing;
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
        let Self { dir, safety_interval, dot_files, missing, probing, backend } = self;
        let absolute = std::path::absolute(&dir).map_err(|source| Error::Unreadable { dir: dir.clone(), source })?;
        let hints = Hints::default();
        let outbox = Arc::new(Outbox::new(hints.clone()));
        let interval = backend.look_every().map_or(safety_interval, |own| own.min(safety_interval));
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
