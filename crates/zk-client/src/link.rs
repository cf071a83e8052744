//! What a client's handles, its requests and its task tell each other.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, oneshot, watch};
use zk_proto::{
    WatchId,
    session::{AuthId, SessionEvent as Told},
};

use crate::{
    ending::Ending,
    events::{SessionEvent, Subscriber},
    sink::Sink,
};

/// The first number of an authentication that a handle adds; those before it are the builder's.
const FIRST_AUTH: u64 = 1 << 32;

/// Why a connection is lost that nothing else is known of.
const STOPPED: &str = "the client's task was stopped, with its runtime";

/// How things stand.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// The server of the present connection, or of the last one.
    pub(crate) server: Arc<str>,
    /// As granted last.
    pub(crate) timeout: Duration,
}

#[derive(Debug)]
pub(crate) struct Link {
    closing: AtomicBool,
    detaching: AtomicBool,
    /// Whether requests are answered at present.
    live: AtomicBool,
    /// A handle has set one of the above, or the session has a call to make.
    wake: Notify,
    ending: OnceLock<Ending>,
    /// Why the last connection was lost.
    loss: Mutex<Arc<str>>,
    /// Why there is no other one yet, if that is known.
    trouble: Mutex<Option<Arc<str>>>,
    status: watch::Sender<Status>,
    sinks: Mutex<HashMap<WatchId, Sink>>,
    next_watch: AtomicU64,
    auths: Mutex<HashMap<AuthId, oneshot::Sender<()>>>,
    next_auth: AtomicU64,
    subscribers: Mutex<Vec<Subscriber>>,
}

/// A panic while one of these is locked leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            closing: AtomicBool::new(false),
            detaching: AtomicBool::new(false),
            live: AtomicBool::new(false),
            wake: Notify::new(),
            ending: OnceLock::new(),
            loss: Mutex::new(STOPPED.into()),
            trouble: Mutex::default(),
            status: watch::Sender::new(Status { server: "".into(), timeout: Duration::ZERO }),
            sinks: Mutex::default(),
            next_watch: AtomicU64::new(0),
            auths: Mutex::default(),
            next_auth: AtomicU64::new(FIRST_AUTH),
            subscribers: Mutex::default(),
        }
    }

    /// Asks the task to close the session.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Asks the task to leave the session as it is.
    pub(crate) fn detach(&self) {
        self.detaching.store(true, Ordering::Release);
        self.close();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn is_detaching(&self) -> bool {
        self.detaching.load(Ordering::Acquire)
    }

    /// Tells the task that the session has a call to make.
    pub(crate) fn poke(&self) {
        self.wake.notify_one();
    }

    /// Waits until a handle has something to tell the task.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    /// How the session ended, if it has.
    pub(crate) fn ending(&self) -> Option<&Ending> {
        self.ending.get()
    }

    /// As [`ending`](Self::ending), when nothing is left that could end it otherwise.
    pub(crate) fn final_ending(&self) -> Ending {
        let stopped = || Ending::Lost(STOPPED.into());
        self.ending().cloned().unwrap_or_else(stopped)
    }

    /// Says how it ended; the task does, once, before it tells the requests that wait.
    pub(crate) fn end(&self, ending: &Ending) {
        self.ending.get_or_init(|| ending.clone());
        self.live.store(false, Ordering::Release);
        drop(std::mem::take(&mut *lock(&self.sinks)));
        lock(&self.auths).clear();
        lock(&self.subscribers).drain(..).for_each(|subscriber| subscriber.finish(SessionEvent::Ended(ending.clone())));
    }

    /// Says why the connection is lost; the task does, before it tells the requests that wait.
    pub(crate) fn note_loss(&self, why: Arc<str>) {
        *lock(&self.loss) = why;
        *lock(&self.trouble) = None;
        self.live.store(false, Ordering::Release);
    }

    pub(crate) fn loss(&self) -> Arc<str> {
        Arc::clone(&lock(&self.loss))
    }

    /// Says why there is no other connection yet.
    pub(crate) fn note_trouble(&self, why: Arc<str>) {
        *lock(&self.trouble) = Some(why);
    }

    /// Why there is no connection.
    pub(crate) fn trouble(&self) -> Arc<str> {
        let trouble = lock(&self.trouble).clone();
        trouble.unwrap_or_else(|| self.loss())
    }

    pub(crate) fn set_status(&self, server: Arc<str>, timeout: Duration) {
        self.status.send_replace(Status { server, timeout });
    }

    pub(crate) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// A number for a watch, under which its events go to this sink.
    pub(crate) fn add_sink(&self, sink: Sink) -> WatchId {
        let id = WatchId(self.next_watch.fetch_add(1, Ordering::Relaxed));
        let mut sinks = lock(&self.sinks);
        // Asked with the lock held: the end is noted before the table is emptied.
        if self.ending().is_none() {
            sinks.insert(id, sink);
        }
        id
    }

    /// The user of this watch is gone.
    pub(crate) fn remove_sink(&self, id: WatchId) {
        let sink = lock(&self.sinks).remove(&id);
        drop(sink); // outside of the lock
    }

    /// Gives an event to its users.
    pub(crate) fn deliver(&self, notification: &zk_proto::Notification) {
        let mut sinks = lock(&self.sinks);
        for user in &notification.users {
            if sinks.get(user).is_some_and(|sink| sink.is_over_with(notification)) {
                sinks.remove(user);
            }
        }
    }

    /// A number for an authentication, and the future of its success.
    pub(crate) fn add_auth(&self) -> (AuthId, oneshot::Receiver<()>) {
        let id = AuthId(self.next_auth.fetch_add(1, Ordering::Relaxed));
        let (taken, answer) = oneshot::channel();
        lock(&self.auths).insert(id, taken);
        (id, answer)
    }

    /// A stream of what happens to the session from now on.
    pub(crate) fn subscribe(&self, subscriber: Subscriber) {
        let mut subscribers = lock(&self.subscribers);
        match self.ending() {
            Some(ending) => subscriber.finish(SessionEvent::Ended(ending.clone())),
            None => subscribers.push(subscriber),
        }
    }

    /// Passes on what happened to the session. Its end is told by [`end`](Self::end).
    pub(crate) fn handle_event(&self, event: Told) {
        let event = match event {
            Told::Connected { session, .. } => SessionEvent::Connected(session),
            Told::Suspended => SessionEvent::Suspended,
            Told::Resumed { gaps } => {
                let sinks = lock(&self.sinks);
                gaps.iter().filter_map(|user| sinks.get(user)).for_each(Sink::resync);
                SessionEvent::Resumed
            }
            Told::Authenticated(id) => {
                if let Some(taken) = lock(&self.auths).remove(&id) {
                    let _ = taken.send(()); // it may not be waited for any more
                }
                return;
            }
            _ => return,
        };
        if matches!(event, SessionEvent::Connected(_) | SessionEvent::Resumed) {
            *lock(&self.loss) = STOPPED.into();
            self.live.store(true, Ordering::Release);
        }
        lock(&self.subscribers).retain(|subscriber| subscriber.push(event.clone()));
    }
}
