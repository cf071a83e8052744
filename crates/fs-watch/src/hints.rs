//! What may have changed: where backends leave their hints and the watching thread picks them up.
//!
//! A set, not a queue. A hint says no more than "look here", so the same hint twice is one, and many of
//! them are "look everywhere". The set is therefore bounded, nothing put into it can be lost, and putting
//! something in never waits for anybody.

use std::collections::HashSet;
use std::ffi::OsString;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Beyond so many names, looking at all of them is cheaper than remembering which.
const MAX_NAMES: usize = 4096;

/// Where a [`Backend`](crate::Backend) leaves its hints. Clones share one set.
///
/// Every method returns at once, whatever the consumer of the events is doing.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    dirty: Mutex<Dirty>,
    /// Only the watching thread waits here.
    changed: Condvar,
}

/// Everything hinted since the last time somebody took it.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    /// Look at these names.
    pub(crate) names: HashSet<OsString>,
    /// Look at all names.
    pub(crate) everywhere: bool,
    /// Hints have been dropped on the way here.
    pub(crate) overflowed: bool,
    /// The backend gives no more hints and must be started anew.
    pub(crate) lost: bool,
    /// The watcher was told to stop. Stays.
    pub(crate) stopped: bool,
    /// The consumer has taken events and there is room for more.
    drained: bool,
}

impl Dirty {
    /// Whether single names are not enough.
    pub(crate) fn wants_full_look(&self) -> bool {
        self.everywhere || self.overflowed || self.lost
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.wants_full_look() && !self.stopped
    }
}

impl Hints {
    /// Something happened to this name in the directory.
    pub fn name(&self, name: impl Into<OsString>) {
        let mut dirty = self.lock();
        // Kept even if everything is to be looked at: a listing can miss a name, a look at it cannot.
        dirty.names.insert(name.into());
        if dirty.names.len() > MAX_NAMES {
            dirty.names.clear();
            dirty.everywhere = true;
        }
        self.shared.changed.notify_one();
    }

    /// Something happened to the directory itself or to the path that leads to it.
    pub fn directory(&self) {
        self.change(|dirty| dirty.everywhere = true);
    }

    /// Hints have been dropped; nobody knows about which names.
    pub fn overflow(&self) {
        self.change(|dirty| dirty.overflowed = true);
    }

    /// The backend has died or lost its bearings: no more hints will come until it is
    /// [disarmed](crate::Backend::disarm) and armed again.
    pub fn lost(&self) {
        self.change(|dirty| dirty.lost = true);
    }

    pub(crate) fn stop(&self) {
        self.change(|dirty| dirty.stopped = true);
    }

    pub(crate) fn drained(&self) {
        self.change(|dirty| dirty.drained = true);
    }

    /// Waits for a hint, or for `deadline`, and takes what there is.
    pub(crate) fn wait(&self, deadline: Instant) -> Dirty {
        let mut dirty = self.lock();
        while dirty.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            dirty = match self.shared.changed.wait_timeout(dirty, left) {
                Ok((dirty, _)) => dirty,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        let stopped = dirty.stopped;
        std::mem::replace(&mut *dirty, Dirty { stopped, ..Dirty::default() })
    }

    /// Waits until the consumer has made room, leaving all hints where they are. Says whether to go on.
    pub(crate) fn wait_for_room(&self) -> bool {
        let mut dirty = self.lock();
        while !dirty.drained && !dirty.stopped {
            dirty = self.shared.changed.wait(dirty).unwrap_or_else(PoisonError::into_inner);
        }
        dirty.drained = false;
        !dirty.stopped
    }

    fn change(&self, apply: impl FnOnce(&mut Dirty)) {
        apply(&mut self.lock());
        self.shared.changed.notify_one();
    }

    /// The set is whole at every moment the lock is free, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Dirty> {
        self.shared.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn the_same_name_twice_is_one_hint() {
        let hints = Hints::default();
        hints.name("a");
        hints.name("a");
        hints.name("b");
        assert_eq!(hints.wait(far()).names.len(), 2);
        assert!(hints.wait(Instant::now()).is_empty());
    }

    #[test]
    fn a_name_is_kept_beside_a_hint_at_everything() {
        let hints = Hints::default();
        hints.directory();
        hints.name("a");
        let dirty = hints.wait(far());
        assert!(dirty.everywhere && dirty.names.len() == 1);
    }

    #[test]
    fn too_many_names_become_everywhere() {
        let hints = Hints::default();
        for number in 0..MAX_NAMES * 3 {
            hints.name(number.to_string());
        }
        let dirty = hints.wait(far());
        assert!(dirty.everywhere);
        assert!(dirty.names.len() <= MAX_NAMES);
    }

    #[test]
    fn a_hint_wakes_whoever_waits() {
        let hints = Hints::default();
        let waiting = std::thread::spawn({
            let hints = hints.clone();
            move || hints.wait(far()).overflowed
        });
        hints.overflow();
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn stop_stays() {
        let hints = Hints::default();
        hints.stop();
        assert!(hints.wait(far()).stopped);
        assert!(hints.wait(far()).stopped);
        assert!(!hints.wait_for_room());
    }

    #[test]
    fn waiting_for_room_leaves_hints_alone() {
        let hints = Hints::default();
        hints.name("a");
        hints.drained();
        assert!(hints.wait_for_room());
        assert_eq!(hints.wait(far()).names.len(), 1);
    }
}
