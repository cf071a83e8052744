//! A way to send to each socket: what its handler has registered for the rest of the program.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::socket::{Socket, SocketId};

/// What the handlers that run have [registered](Registration::register), by the paths of their sockets: from
/// [`Attached::senders`](super::Attached::senders).
///
/// `T` is what you send with: a `uds_actor::Sender`, a `tokio::sync::mpsc::Sender` of your commands, or a channel of
/// your own. Queueing, bounds and errors are its own. It is removed when its handler ends, so you never get one whose
/// handler is known to be gone.
pub struct Senders<T> {
    runs: Arc<Mutex<Runs<T>>>,
}

struct Runs<T> {
    by_path: HashMap<PathBuf, Run<T>>,
    last: u64,
    /// Tells the attachment who has registered. At most one for each run, and a run ends only through the attachment.
    registered: mpsc::UnboundedSender<Registered>,
}

struct Run<T> {
    number: u64,
    id: SocketId,
    sender: Option<T>,
}

/// A handler has registered for the first time in this run.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) id: SocketId,
    run: u64,
}

impl<T> Senders<T> {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Registered>) {
        let (registered, news) = mpsc::unbounded_channel();
        let runs = Runs { by_path: HashMap::new(), last: 0, registered };
        (Self { runs: Arc::new(Mutex::new(runs)) }, news)
    }

    /// For the sender of the socket at this path, if its handler has registered one.
    pub fn get(&self, path: &Path) -> Option<T>
    where
        T: Clone,
    {
        self.lock().by_path.get(path).and_then(|run| run.sender.clone())
    }

    /// All of them, in no particular order: to send to each socket.
    pub fn all(&self) -> Vec<(SocketId, T)>
    where
        T: Clone,
    {
        let runs = self.lock();
        let registered = runs.by_path.values().filter_map(|run| Some((run.id.clone(), run.sender.clone()?)));
        registered.collect()
    }

    /// A handler starts. What comes back belongs to its task.
    pub(super) fn enter(&self, socket: &Socket) -> (Registration<T>, Presence<T>) {
        let mut runs = self.lock();
        runs.last += 1;
        let (id, number) = (socket.id(), runs.last);
        let run = Run { number, id: id.clone(), sender: None };
        let before = runs.by_path.insert(id.path.clone(), run);
        drop(runs);
        // Two handlers never run for one path, so there is none.
        drop(before);
        let presence = Presence { senders: self.clone(), path: id.path.clone() };
        (Registration { senders: self.clone(), id, run: number }, presence)
    }

    /// Whether the handler that registered still runs.
    pub(super) fn is_current(&self, registered: &Registered) -> bool {
        self.lock().by_path.get(&registered.id.path).is_some_and(|run| run.number == registered.run)
    }

    fn lock(&self) -> MutexGuard<'_, Runs<T>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Senders<T> {
    fn clone(&self) -> Self {
        Self { runs: Arc::clone(&self.runs) }
    }
}

impl<T> fmt::Debug for Senders<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Senders").field("running", &self.lock().by_path.len()).finish_non_exhaustive()
    }
}

/// Given to a handler, to register what others send to its socket with.
#[derive(Debug)]
pub struct Registration<T> {
    senders: Senders<T>,
    id: SocketId,
    run: u64,
}

impl<T> Registration<T> {
    /// Lets the rest of the program send to this socket, until the handler ends. A second one replaces the first.
    ///
    /// Does nothing once the handler has ended, if you have moved the registration to another task.
    pub fn register(&self, sender: T) {
        let mut runs = self.senders.lock();
        let Runs { by_path, registered, .. } = &mut *runs;
        let Some(run) = by_path.get_mut(&self.id.path).filter(|run| run.number == self.run) else {
            drop(runs);
            return drop(sender);
        };
        let before = run.sender.replace(sender);
        if before.is_none() {
            // Without the attachment this task is about to be aborted.
            let _ = registered.send(Registered { id: self.id.clone(), run: self.run });
        }
        drop(runs);
        drop(before);
    }
}

/// As long as a handler's task. Dropped with it, it takes its sender away.
#[derive(Debug)]
pub(super) struct Presence<T> {
    senders: Senders<T>,
    path: PathBuf,
}

impl<T> Drop for Presence<T> {
    fn drop(&mut self) {
        // A sender is other people's code: it is dropped after the lock.
        let _run = self.senders.lock().by_path.remove(&self.path);
    }
}
