//! One source of events, and the seats of those who use it.

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

/// How long a control call may take before the whole machinery is taken for stuck and left behind. An
/// ordinary one takes a tenth of a millisecond.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// The hub that watchers of this process join.
static SHARED: Mutex<Option<Arc<Hub>>> = Mutex::new(None);

/// So many times the patience at most while nothing but events is dealt with: a storm of them may have no end.
const DURING_EVENTS: u32 = 4;

/// A notify watcher on its control thread, and whom it serves.
#[derive(Debug)]
pub(super) struct Hub {
    members: Members,
    machinery: Mutex<Option<Machinery>>,
}

/// The threads, as far as they can be had.
struct Machinery {
    orders: mpsc::Sender<Order>,
    thread: JoinHandle<()>,
    /// Disconnects when the control thread is at its end.
    ended: mpsc::Receiver<Infallible>,
    /// Disconnects when the callback is dropped, which is the last thing notify's own thread does.
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

    /// `handler` is given the sentinel to keep.
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

    /// Whether nothing is to be expected of it any more.
    pub(super) fn is_retired(&self) -> bool {
        self.members.is_retired()
    }

    #[cfg(test)]
    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    /// Everybody is to leave it and to begin anew.
    pub(super) fn retire(&self) {
        self.members.lose();
    }

    /// Puts an order.
    fn order(&self, order: impl FnOnce(mpsc::Sender<Result<(), Why>>) -> Order) -> Pending {
        let (reply, answer) = mpsc::channel();
        if let Some(machinery) = &*self.machinery() {
            // If nobody takes it, the answer is the end of the channel.
            let _ = machinery.orders.send(order(reply));
        }
        Pending { answer, members: self.members.clone() }
    }

    /// Ends everything and waits for it, but not for ever.
    fn end(&self) {
        let Some(Machinery { orders, thread, ended, callback_gone }) = self.machinery().take() else { return };
        drop(orders);
        let gone = |receiver: &mpsc::Receiver<Infallible>| {
            matches!(receiver.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected))
        };
        if gone(&ended) && gone(&callback_gone) {
            // Its last act was to drop `alive`, so this does not wait; a panic of its own was handled.
            let _ = thread.join();
        }
    }

    fn machinery(&self) -> MutexGuard<'_, Option<Machinery>> {
        self.machinery.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is going on after somebody has left a hub.
#[derive(Debug)]
pub(super) enum Left {
    /// Nobody uses it any more.
    Last(Arc<Hub>),
    /// Others do. The watches that only this one wanted are given up.
    Others(Pending),
}

/// An order on its way.
#[derive(Debug)]
pub(super) struct Pending {
    answer: mpsc::Receiver<Result<(), Why>>,
    members: Members,
}

impl Left {
    /// Waits until everything is given up, but not for ever.
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
        // First, so that no event about the new target is passed over.
        self.hub.members.seat(self.number, target, &self.hints);
        let directory = target.directory().map(|path| Watch { path: path.to_owned(), optional: false });
        let parents = target.anchors().iter().map(|anchor| &anchor.parent);
        let parents = parents.filter(|parent| Some(parent.as_path()) != target.directory());
        let parents = parents.map(|path| Watch { path: path.clone(), optional: true });
        let wanted = parents.chain(directory).collect();
        self.hub.order(|reply| Order { member: self.number, wanted, reply }).wait()
    }

    /// Gives it up, without waiting.
    pub(super) fn leave(&self) -> Left {
        let mut shared = shared();
        if !self.hub.members.dismiss(self.number) {
            let order = |reply| Order { member: self.number, wanted: Vec::new(), reply };
            return Left::Others(self.hub.order(order));
        }
        // Nobody is to join it from now on. What comes of its end is no news to anybody.
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

    /// Waits for the answer, as long as orders are answered, for there may be thousands before it; and a while longer than
    /// otherwise if events are, which come first.
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
