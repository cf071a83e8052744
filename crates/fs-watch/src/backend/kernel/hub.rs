//! One source of events, and all who want to hear of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use ::notify::EventHandler;
use ::notify::event::EventKind;

use super::control::{Guarded, Order, Sentinel, Watch, obey};
use super::{PATIENCE, shared};
use crate::event::Why;
use crate::hints::Hints;
use crate::target::Target;

/// So many times the patience at most while nothing but events is dealt with: a storm of them may have no end.
const DURING_EVENTS: u32 = 4;

/// A notify watcher on its control thread, and the seats of those who use it.
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

/// Who has a seat. Shared with the callback.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    /// No more events will come, or none are wanted any more.
    retired: AtomicBool,
    /// How many orders have been carried out.
    progress: AtomicU64,
    /// How many events have been sorted.
    events: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    members: BTreeMap<u64, Arc<Member>>,
    /// By the directory whose every entry concerns them.
    by_directory: HashMap<PathBuf, BTreeSet<u64>>,
    /// By the single paths that do, such as the ways to that directory.
    by_path: HashMap<PathBuf, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Member {
    target: Target,
    hints: Hints,
}

/// One watcher's place at a hub.
#[derive(Debug)]
pub(super) struct Seat {
    hub: Arc<Hub>,
    number: u64,
    hints: Hints,
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
        let handler = handler(members.clone(), Sentinel { members: members.clone(), _alive: callback_alive });
        let of_thread = members.clone();
        let thread = thread::Builder::new()
            .name("fs-watch control".into())
            .spawn(move || {
                let _alive = alive;
                obey(&inbox, handler, &of_thread);
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

impl Members {
    fn admit(&self, target: &Target, hints: &Hints) -> u64 {
        let number = {
            let mut table = self.table();
            table.last += 1;
            table.last
        };
        self.seat(number, target, hints);
        number
    }

    /// What a member is to hear of from now on.
    fn seat(&self, number: u64, target: &Target, hints: &Hints) {
        let mut table = self.table();
        table.remove(number);
        if let Some(directory) = target.directory() {
            table.by_directory.entry(directory.to_owned()).or_default().insert(number);
        }
        for path in places(target) {
            table.by_path.entry(path).or_default().insert(number);
        }
        table.members.insert(number, Arc::new(Member { target: target.clone(), hints: hints.clone() }));
    }

    /// Says whether it was the last.
    fn dismiss(&self, number: u64) -> bool {
        let mut table = self.table();
        table.remove(number) && table.members.is_empty()
    }

    pub(super) fn is_retired(&self) -> bool {
        self.shared.retired.load(Ordering::Acquire)
    }

    pub(super) fn retire(&self) {
        self.shared.retired.store(true, Ordering::Release);
    }

    /// There will be no more events, and everybody is told, unless that was wanted.
    pub(super) fn lose(&self) {
        if !self.shared.retired.swap(true, Ordering::AcqRel) {
            self.all().iter().for_each(|member| member.hints.lost());
        }
    }

    /// An order has been carried out.
    pub(super) fn handle_progress(&self) {
        self.shared.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// How many orders and how many events.
    fn progress(&self) -> (u64, u64) {
        (self.shared.progress.load(Ordering::Relaxed), self.shared.events.load(Ordering::Relaxed))
    }

    /// These are to look at everything.
    pub(super) fn stir(&self, numbers: &HashSet<u64>) {
        let members: Vec<_> = {
            let table = self.table();
            numbers.iter().filter_map(|number| table.members.get(number).cloned()).collect()
        };
        members.iter().for_each(|member| member.hints.directory());
    }

    /// Events have been dropped, nobody knows about what.
    pub(super) fn overflow(&self) {
        self.all().iter().for_each(|member| member.hints.overflow());
    }

    /// Makes hints of one event.
    pub(super) fn sort(&self, event: ::notify::Result<::notify::Event>) {
        self.shared.events.fetch_add(1, Ordering::Relaxed);
        match event {
            // Before anything else: the mark of an overflow carries neither a path nor a telling kind.
            Ok(event) if event.need_rescan() => self.overflow(),
            // Opening and closing change nothing, and our own listing would wake us.
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
            Ok(event) => {
                for path in &event.paths {
                    // Not under the lock: a hint may wake a task, which is foreign code.
                    for member in self.concerned(path) {
                        member.target.hint(path, &member.hints);
                    }
                }
            }
            // It cannot read its events any more, and would try again without pause.
            Err(_) => self.lose(),
        }
    }

    fn concerned(&self, path: &Path) -> Vec<Arc<Member>> {
        let table = self.table();
        let above = path.parent().and_then(|directory| table.by_directory.get(directory));
        let itself = table.by_path.get(path).into_iter().flatten();
        let itself = itself.filter(|number| above.is_none_or(|above| !above.contains(number)));
        above.into_iter().flatten().chain(itself).filter_map(|number| table.members.get(number).cloned()).collect()
    }

    fn all(&self) -> Vec<Arc<Member>> {
        self.table().members.values().cloned().collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Says whether it was there.
    fn remove(&mut self, number: u64) -> bool {
        let Some(member) = self.members.remove(&number) else { return false };
        if let Some(directory) = member.target.directory() {
            strike(&mut self.by_directory, directory, number);
        }
        places(&member.target).for_each(|path| strike(&mut self.by_path, &path, number));
        true
    }
}

fn strike(index: &mut HashMap<PathBuf, BTreeSet<u64>>, path: &Path, number: u64) {
    if let Some(numbers) = index.get_mut(path) {
        numbers.remove(&number);
        if numbers.is_empty() {
            index.remove(path);
        }
    }
}

/// The paths that [`Target::hint`] takes for a hint at everything; one may come twice.
fn places(target: &Target) -> impl Iterator<Item = PathBuf> {
    let anchors = target.anchors().iter().flat_map(|anchor| [anchor.parent.clone(), anchor.parent.join(&anchor.name)]);
    target.directory().map(Path::to_owned).into_iter().chain(anchors)
}

impl fmt::Debug for Machinery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machinery").finish_non_exhaustive()
    }
}
