//! One source of events, and the places of its users.

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ::notify::EventHandler;

use super::control::{Guarded, Order, Sentinel, Watch, obey};
use super::members::Members;
use crate::event::Why;
use crate::hints::Hints;
use crate::target::Target;

/// How long a control call may take before the whole source is considered stuck and abandoned. An ordinary call takes a
/// tenth of a millisecond.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// The hub that watchers of this process join.
static SHARED: Mutex<Option<Arc<Hub>>> = Mutex::new(None);

/// Wait at most this many times the patience while only events are handled: there may be no end to them.
const DURING_EVENTS: u32 = 4;

/// A notify watcher on its control thread, and its users.
#[derive(Debug)]
pub(super) struct Hub {
    members: Members,
    machinery: Mutex<Option<Machinery>>,
}

/// The threads, as far as we have handles.
struct Machinery {
    orders: mpsc::Sender<Order>,
    thread: JoinHandle<()>,
    /// Disconnects when the control thread ends.
    ended: mpsc::Receiver<Infallible>,
    /// Disconnects when the callback is dropped, which is the last act of notify's own thread.
    callback_gone: mpsc::Receiver<Infallible>,
}

/// One watcher's place at a hub.
#[derive(Debug)]
pub(super) struct Seat {
    hub: Arc<Hub>,
    number: u64,
    hints: Hints,
}

pub(super) fn shared() -> MutexGuard<'static, Option<Arc<Hub>>> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(super) fn start() -> Result<Arc<Self>, Why> {
        Self::start_with(|members, sentinel| Guarded {
            callback: {
                let members = members.clone();
                move |event| members.sort(event)
            },
            members,
            sentinel,
        })
    }

    /// `handler` keeps the sentinel.
    pub(super) fn start_with<H: EventHandler>(handler: impl FnOnce(Members, Sentinel) -> H) -> Result<Arc<Self>, Why> {
        let (orders, inbox) = mpsc::channel();
        let (alive, ended) = mpsc::channel();
        let (callback_alive, callback_gone) = mpsc::channel();
        let members = Members::default();
        let runs = Arc::new(AtomicBool::new(false));
        let sentinel = Sentinel { members: members.clone(), runs: runs.clone(), _alive: callback_alive };
        let handler = handler(members.clone(), sentinel);
        let of_thread = members.clone();
        let thread = thread::Builder::new()
            .name("fs-watch control".into())
            .spawn(move || {
                let _alive = alive;
                obey(&inbox, handler, &of_thread, &runs);
            })
            .map_err(|error| Why::BackendFailed { message: format!("no thread: {error}") })?;
        let machinery = Machinery { orders, thread, ended, callback_gone };
        Ok(Arc::new(Self { members, machinery: Mutex::new(Some(machinery)) }))
    }

    /// Whether it will give no more events.
    pub(super) fn is_retired(&self) -> bool {
        self.members.is_retired()
    }

    #[cfg(test)]
    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    /// Every user must leave it and start again.
    pub(super) fn retire(&self) {
        self.members.lose();
    }

    /// Sends an order.
    fn order(&self, order: impl FnOnce(mpsc::Sender<Result<(), Why>>) -> Order) -> Pending {
        let (reply, answer) = mpsc::channel();
        if let Some(machinery) = &*self.machinery() {
            // If the thread is gone, the answer is the end of the channel.
            let _ = machinery.orders.send(order(reply));
        }
        Pending { answer, members: self.members.clone() }
    }

    /// Ends everything and waits for it, but not forever.
    fn end(&self) {
        let Some(Machinery { orders, thread, ended, callback_gone }) = self.machinery().take() else { return };
        drop(orders);
        let gone = |receiver: &mpsc::Receiver<Infallible>| {
            matches!(receiver.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected))
        };
        if gone(&ended) && gone(&callback_gone) {
            // Dropping `alive` was its last act, so this does not wait; a panic in it was handled.
            let _ = thread.join();
        }
    }

    fn machinery(&self) -> MutexGuard<'_, Option<Machinery>> {
        self.machinery.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What remains to be done after a user has left a hub.
#[derive(Debug)]
pub(super) enum Left {
    /// It has no users any more.
    Last(Arc<Hub>),
    /// It has other users. The watches that only this one needed are being released.
    Others(Pending),
}

/// An order that is being carried out.
#[derive(Debug)]
pub(super) struct Pending {
    answer: mpsc::Receiver<Result<(), Why>>,
    members: Members,
}

impl Left {
    /// Waits until everything is released, but not forever.
    pub(super) fn wait(self) {
        match self {
            Self::Others(pending) => drop(pending.wait()),
            Self::Last(hub) => hub.end(),
        }
    }
}

impl Seat {
    pub(super) fn take(hub: &Arc<Hub>, target: &Target, hints: &Hints) -> Self {
        let number = hub.members.admit(target, hints);
        Self { hub: hub.clone(), number, hints: hints.clone() }
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(super) fn arm(&self, target: &Target) -> Result<(), Why> {
        // First, so that no event about the new target is missed.
        self.hub.members.seat(self.number, target, &self.hints);
        let directory = target.directory().map(|path| Watch { path: path.to_owned(), optional: false });
        let parents = target.anchors().iter().map(|anchor| &anchor.parent);
        let parents = parents.filter(|parent| Some(parent.as_path()) != target.directory());
        let parents = parents.map(|path| Watch { path: path.clone(), optional: true });
        let wanted = parents.chain(directory).collect();
        self.hub.order(|reply| Order { member: self.number, wanted, reply }).wait()
    }

    /// Releases it, without waiting.
    pub(super) fn leave(&self) -> Left {
        let mut shared = shared();
        if !self.hub.members.dismiss(self.number) {
            let order = |reply| Order { member: self.number, wanted: Vec::new(), reply };
            return Left::Others(self.hub.order(order));
        }
        // No watcher may join it any more. The result of its end does not concern any other.
        if shared.as_ref().is_some_and(|hub| Arc::ptr_eq(hub, &self.hub)) {
            *shared = None;
        }
        self.hub.members.retire();
        Left::Last(self.hub.clone())
    }
}

impl Pending {
    #[cfg(test)]
    pub(super) fn new() -> (Self, Members, mpsc::Sender<Result<(), Why>>) {
        let (reply, answer) = mpsc::channel();
        let members = Members::default();
        (Self { answer, members: members.clone() }, members, reply)
    }

    /// Waits for the answer as long as orders are being answered, because there may be thousands before it. Waits
    /// longer if events are being handled, because they come first.
    pub(super) fn wait(&self) -> Result<(), Why> {
        let mut progress = self.members.progress();
        let mut by_events_alone = 0;
        loop {
            match self.answer.recv_timeout(PATIENCE) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) => {
                    let before = std::mem::replace(&mut progress, self.members.progress());
                    by_events_alone = if before.0 == progress.0 { by_events_alone + 1 } else { 0 };
                    if before == progress || by_events_alone > DURING_EVENTS {
                        return Err(Why::BackendStuck);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Why::BackendFailed { message: "its thread is gone".into() });
                }
            }
        }
    }
}

impl fmt::Debug for Machinery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machinery").finish_non_exhaustive()
    }
}
