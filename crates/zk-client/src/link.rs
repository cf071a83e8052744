//! The state that a client's handles, its requests and its task share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot, watch},
    time::Instant,
};
use zk_proto::{
    WatchId,
    session::{AuthId, SessionEvent as Told},
};

use crate::{
    ending::Ending,
    events::{SessionEvent, Subscriber},
    sink::Sink,
};

/// The id of the first authentication that a handle adds; the ids below it are the builder's.
const FIRST_AUTH: u64 = 1 << 32;

/// Why the connection is lost if no other reason is known.
const STOPPED: &str = "the client's task was stopped, with its runtime";

/// How long the client assumes that the server does not support an operation. After that, the server may be a newer one.
const UNSUPPORTED: Duration = Duration::from_secs(60);

/// The current state of the connection.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// The server of the current connection, or of the last one.
    pub(crate) server: Arc<str>,
    /// The timeout as granted last.
    pub(crate) timeout: Duration,
}

#[derive(Debug)]
pub(crate) struct Link {
    closing: AtomicBool,
    detaching: AtomicBool,
    /// Whether the server answers requests now.
    live: AtomicBool,
    /// Notified when a handle has set one of the above, or the session has a call to make.
    wake: Notify,
    ending: OnceLock<Ending>,
    /// Why the last connection was lost.
    loss: Mutex<Arc<str>>,
    /// Why we have not reconnected yet, if that is known.
    trouble: Mutex<Option<Arc<str>>>,
    status: watch::Sender<Status>,
    sinks: Mutex<HashMap<WatchId, Sink>>,
    next_watch: AtomicU64,
    auths: Mutex<HashMap<AuthId, oneshot::Sender<()>>>,
    next_auth: AtomicU64,
    subscribers: Mutex<Vec<Subscriber>>,
    /// What the server does not support, and until when the client assumes so.
    unsupported: Mutex<Vec<(&'static str, Instant)>>,
    /// Whether that list has entries: checked for each request.
    has_unsupported: AtomicBool,
}

/// A panic while one of these locks is held leaves nothing half done.
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
            unsupported: Mutex::default(),
            has_unsupported: AtomicBool::new(false),
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

    /// Notifies the task that the session has a call to make.
    pub(crate) fn poke(&self) {
        self.wake.notify_one();
    }

    /// Waits until a handle notifies the task.
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

    /// Like [`ending`](Self::ending), for when nothing else can end the session any more.
    pub(crate) fn final_ending(&self) -> Ending {
        let stopped = || Ending::Lost(STOPPED.into());
        self.ending().cloned().unwrap_or_else(stopped)
    }

    /// Records how the session ended. The task calls this once, before it fails the waiting requests.
    pub(crate) fn end(&self, ending: &Ending) {
        self.ending.get_or_init(|| ending.clone());
        self.live.store(false, Ordering::Release);
        drop(std::mem::take(&mut *lock(&self.sinks)));
        lock(&self.auths).clear();
        crate::trace::session_event(&SessionEvent::Ended(ending.clone()));
        lock(&self.subscribers).drain(..).for_each(|subscriber| subscriber.finish(SessionEvent::Ended(ending.clone())));
    }

    /// Records why the connection is lost. The task calls this before it fails the waiting requests.
    pub(crate) fn note_loss(&self, why: Arc<str>) {
        *lock(&self.loss) = why;
        *lock(&self.trouble) = None;
        self.live.store(false, Ordering::Release);
    }

    pub(crate) fn loss(&self) -> Arc<str> {
        Arc::clone(&lock(&self.loss))
    }

    /// Records why we have not reconnected yet.
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

    /// Registers a sink for the events of a watch, and returns the id of the watch.
    pub(crate) fn add_sink(&self, sink: Sink) -> WatchId {
        let id = WatchId(self.next_watch.fetch_add(1, Ordering::Relaxed));
        let mut sinks = lock(&self.sinks);
        // Checked while the lock is held: the end is recorded before the table is emptied.
        if self.ending().is_none() {
            sinks.insert(id, sink);
        }
        id
    }

    /// Removes the sink of a watch that has no user any more.
    pub(crate) fn remove_sink(&self, id: WatchId) {
        let sink = lock(&self.sinks).remove(&id);
        drop(sink); // after the lock is released
    }

    /// Delivers an event to its users.
    pub(crate) fn deliver(&self, notification: &zk_proto::Notification) {
        let mut sinks = lock(&self.sinks);
        for user in &notification.users {
            if sinks.get(user).is_some_and(|sink| sink.is_over_with(notification)) {
                sinks.remove(user);
            }
        }
    }

    /// An id for an authentication, and a future that resolves when a server has accepted it.
    pub(crate) fn add_auth(&self) -> (AuthId, oneshot::Receiver<()>) {
        let id = AuthId(self.next_auth.fetch_add(1, Ordering::Relaxed));
        let (taken, answer) = oneshot::channel();
        lock(&self.auths).insert(id, taken);
        (id, answer)
    }

    /// Registers a stream of the session's events from now on.
    pub(crate) fn subscribe(&self, subscriber: Subscriber) {
        let mut subscribers = lock(&self.subscribers);
        match self.ending() {
            Some(ending) => subscriber.finish(SessionEvent::Ended(ending.clone())),
            None => subscribers.push(subscriber),
        }
    }

    /// The server does not support this operation.
    pub(crate) fn note_unsupported(&self, operation: &'static str) {
        let Some(until) = Instant::now().checked_add(UNSUPPORTED) else { return };
        let mut unsupported = lock(&self.unsupported);
        unsupported.retain(|(known, _)| *known != operation);
        unsupported.push((operation, until));
        self.has_unsupported.store(true, Ordering::Release);
    }

    /// Whether a server said lately that it does not support this operation. Sending it again would cost the connection.
    pub(crate) fn is_unsupported(&self, operation: &str) -> bool {
        if !self.has_unsupported.load(Ordering::Acquire) {
            return false;
        }
        let now = Instant::now();
        let mut unsupported = lock(&self.unsupported);
        unsupported.retain(|(_, until)| *until > now);
        self.has_unsupported.store(!unsupported.is_empty(), Ordering::Release);
        unsupported.iter().any(|(known, _)| *known == operation)
    }

    /// Passes on the session's events. [`end`](Self::end) reports its end.
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
                    let _ = taken.send(()); // the caller may have stopped waiting
                }
                return;
            }
            _ => return,
        };
        if matches!(event, SessionEvent::Connected(_) | SessionEvent::Resumed) {
            *lock(&self.loss) = STOPPED.into();
            self.live.store(true, Ordering::Release);
        }
        crate::trace::session_event(&event);
        lock(&self.subscribers).retain(|subscriber| subscriber.push(event.clone()));
    }
}
