//! The subscribers, and which paths each watches.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::notify::event::EventKind;

use crate::hints::Hints;
use crate::target::Target;

/// The subscribers. Shared with the callback.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    /// No more events will come, or they are not wanted any more.
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
    /// By directory, if every entry of it concerns them.
    by_directory: HashMap<PathBuf, BTreeSet<u64>>,
    /// By single path, such as the parents of that directory.
    by_path: HashMap<PathBuf, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Member {
    target: Target,
    hints: Hints,
}

impl Members {
    pub(super) fn admit(&self, target: &Target, hints: &Hints) -> u64 {
        let number = {
            let mut table = self.table();
            table.last += 1;
            table.last
        };
        self.seat(number, target, hints);
        number
    }

    /// Sets which events a subscriber receives from now on.
    pub(super) fn seat(&self, number: u64, target: &Target, hints: &Hints) {
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

    /// Returns whether it was the last.
    pub(super) fn dismiss(&self, number: u64) -> bool {
        let mut table = self.table();
        table.remove(number) && table.members.is_empty()
    }

    pub(super) fn is_retired(&self) -> bool {
        self.shared.retired.load(Ordering::Acquire)
    }

    pub(super) fn retire(&self) {
        self.shared.retired.store(true, Ordering::Release);
    }

    /// There will be no more events. Tells all subscribers, unless that was intended.
    pub(super) fn lose(&self) {
        if !self.shared.retired.swap(true, Ordering::AcqRel) {
            self.all().iter().for_each(|member| member.hints.lost());
        }
    }

    /// An order has been carried out.
    pub(super) fn handle_progress(&self) {
        self.shared.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of orders and of events.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.shared.progress.load(Ordering::Relaxed), self.shared.events.load(Ordering::Relaxed))
    }

    /// These subscribers must scan everything.
    pub(super) fn stir(&self, numbers: &HashSet<u64>) {
        let members: Vec<_> = {
            let table = self.table();
            numbers.iter().filter_map(|number| table.members.get(number).cloned()).collect()
        };
        members.iter().for_each(|member| member.hints.directory());
    }

    /// Events have been dropped, and it is unknown which.
    pub(super) fn overflow(&self) {
        self.all().iter().for_each(|member| member.hints.overflow());
    }

    /// Turns one event into hints.
    pub(super) fn sort(&self, event: ::notify::Result<::notify::Event>) {
        self.shared.events.fetch_add(1, Ordering::Relaxed);
        match event {
            // First: the mark of an overflow has neither a path nor a meaningful kind.
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
            // It cannot read its events any more, and would retry without pause.
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
    /// Returns whether it was there.
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

/// The paths that [`Target::hint`] turns into "scan everything". One may come twice.
fn places(target: &Target) -> impl Iterator<Item = PathBuf> {
    let anchors = target.anchors().iter().flat_map(|anchor| [anchor.parent.clone(), anchor.parent.join(&anchor.name)]);
    target.directory().map(Path::to_owned).into_iter().chain(anchors)
}
