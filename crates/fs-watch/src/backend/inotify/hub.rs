//! One inotify instance, the thread that reads it, and its users.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader};
use rustix::io::{Errno, write};

use super::registry::{News, Registry};
use crate::event::Why;

/// Room for some two thousand events per read.
const BUFFER: usize = 64 << 10;

/// How long to wait for the thread to end. The only thing it can wait for are the wakers that it calls.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Hub {
    shared: Arc<Shared>,
    thread: Mutex<Option<Thread>>,
}

/// What the thread uses.
#[derive(Debug)]
struct Shared {
    inotify: OwnedFd,
    /// Readable when the thread should end.
    stop: OwnedFd,
    registry: Mutex<Registry>,
    /// No more events will come, or they are not wanted any more.
    over: AtomicBool,
    /// How many events have been read.
    events: AtomicU64,
    #[cfg(test)]
    breaks: AtomicBool,
}

#[derive(Debug)]
struct Thread {
    handle: JoinHandle<()>,
    /// Disconnects when the thread ends.
    ended: mpsc::Receiver<Infallible>,
}

impl Hub {
    pub(super) fn start() -> Result<Arc<Self>, Why> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(short)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(short)?;
        let shared = Arc::new(Shared {
            inotify,
            stop,
            registry: Mutex::default(),
            over: AtomicBool::default(),
            events: AtomicU64::default(),
            #[cfg(test)]
            breaks: AtomicBool::default(),
        });
        let (alive, ended) = mpsc::channel::<Infallible>();
        let of_thread = shared.clone();
        let handle = thread::Builder::new()
            .name("fs-watch inotify".into())
            .spawn(move || {
                let _alive = alive;
                let sentinel = Sentinel(of_thread);
                sentinel.0.read();
            })
            .map_err(|error| Why::BackendFailed { message: format!("no thread: {error}") })?;
        Ok(Arc::new(Self { shared, thread: Mutex::new(Some(Thread { handle, ended })) }))
    }

    pub(super) fn inotify(&self) -> &OwnedFd {
        &self.shared.inotify
    }

    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.shared.registry()
    }

    /// Whether it will give no more events.
    pub(super) fn is_over(&self) -> bool {
        self.shared.over.load(Ordering::Acquire)
    }

    /// The call fails if the kernel has already dropped the watch, which is the desired result.
    pub(super) fn give_up(&self, watches: &[i32]) {
        for watch in watches {
            let _ = inotify::remove_watch(&self.shared.inotify, *watch);
        }
    }

    pub(super) fn stop(&self) {
        self.shared.over.store(true, Ordering::Release);
        // Full only if the thread was already told.
        let _ = write(&self.shared.stop, &1_u64.to_ne_bytes());
    }

    /// Waits for the end of the thread, but not indefinitely.
    pub(super) fn wait(&self) {
        let Some(Thread { handle, ended }) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Disconnected) {
            // Dropping the sender was its last act, so this does not wait. A panic in it has been reported as a loss.
            let _ = handle.join();
        }
    }

    /// Ends the thread as an error would.
    #[cfg(test)]
    pub(super) fn break_off(&self) {
        self.shared.breaks.store(true, Ordering::Release);
        write(&self.shared.stop, &1_u64.to_ne_bytes()).unwrap();
    }

    #[cfg(test)]
    pub(super) fn events(&self) -> u64 {
        self.shared.events.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// The main function of the thread.
    fn read(&self) {
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        while !self.over.load(Ordering::Acquire) {
            #[cfg(test)]
            if self.breaks.load(Ordering::Acquire) {
                return;
            }
            match reader.next() {
                Ok(event) => {
                    self.events.fetch_add(1, Ordering::Relaxed);
                    self.sort(
                        event.wd(),
                        event.events(),
                        event.file_name().map(|name| OsStr::from_bytes(name.to_bytes())),
                    );
                }
                Err(Errno::AGAIN) => {
                    let ready = PollFlags::IN;
                    let mut both = [PollFd::new(&self.inotify, ready), PollFd::new(&self.stop, ready)];
                    match poll(&mut both, None) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(_) => return,
                    }
                }
                Err(Errno::INTR) => {}
                // The sentinel reports it.
                Err(_) => return,
            }
        }
    }

    /// Turns one event into hints. They are given without the lock, because a hint may wake a task, which is foreign
    /// code.
    fn sort(&self, watch: i32, events: ReadFlags, name: Option<&OsStr>) {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            // Events have been dropped, and it is unknown which.
            let all = self.registry().overflow();
            return all.iter().for_each(|hints| hints.overflow());
        }
        let news = match name {
            _ if events.contains(ReadFlags::IGNORED) => News::Ended,
            Some(name) => News::Name(name),
            None => News::Itself,
        };
        let concerned = self.registry().concerned(watch, news);
        for (hints, everything) in concerned {
            match name {
                Some(name) if !everything => hints.name(name),
                _ => hints.directory(),
            }
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lives as long as the thread, and reports an unexpected end.
struct Sentinel(Arc<Shared>);

impl Drop for Sentinel {
    fn drop(&mut self) {
        if !self.0.over.swap(true, Ordering::AcqRel) {
            let all = self.0.registry().all();
            all.iter().for_each(|hints| hints.lost());
        }
    }
}

/// Which limit was reached.
pub(super) fn short(errno: Errno) -> Why {
    match errno {
        Errno::MFILE => Why::LimitReached { limit: "fs.inotify.max_user_instances, or the limit of open files," },
        Errno::NFILE => Why::LimitReached { limit: "the system's limit of open files" },
        errno => Why::BackendFailed { message: std::io::Error::from(errno).to_string() },
    }
}
