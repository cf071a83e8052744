//! What may have changed: backends put their hints here, and the watching thread takes them.
//!
//! This is a set, not a queue. A hint says no more than "scan this name", so two equal hints are one, and too many of
//! them become "scan everything". The set is therefore bounded, nothing in it can be lost, and adding to it never
//! waits.

use std::collections::HashSet;
use std::ffi::OsString;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

/// Beyond this many names, scanning all names is cheaper than remembering which.
const MAX_NAMES: usize = 4096;

/// Where a [`Backend`](crate::Backend) puts its hints. Clones share one set.
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

/// All hints since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    /// Look up these names.
    pub(crate) names: HashSet<OsString>,
    /// Scan all names.
    pub(crate) everywhere: bool,
    /// Hints were dropped on their way here.
    pub(crate) overflowed: bool,
    /// The backend gives no more hints and must be restarted.
    pub(crate) lost: bool,
    /// The watcher was told to stop. Never reset.
    pub(crate) stopped: bool,
    /// The last ticket that [`Hints::request_scan`] returned, if it was not taken yet.
    pub(crate) called: Option<u64>,
    /// The consumer has taken events, and there is room for more.
    drained: bool,
    /// The consumer has found sockets to probe, or names that it leaves to the thread.
    left_over: bool,
    /// Single names are handled by the consumer, not by the thread.
    in_place: bool,
    tickets: u64,
    consumer: Option<Waker>,
}

impl Dirty {
    /// Whether looking up single names is not enough.
    pub(crate) fn wants_full_scan(&self) -> bool {
        self.everywhere || self.overflowed || self.lost
    }

    /// Whether the thread has nothing to do.
    fn is_empty(&self) -> bool {
        let names_are_ours = !self.in_place || self.left_over;
        (self.names.is_empty() || !names_are_ours)
            && !self.wants_full_scan()
            && !self.stopped
            && !self.left_over
            && self.called.is_none()
    }

    /// Takes everything and keeps the permanent flags.
    fn take(&mut self) -> Self {
        let rest = Self {
            stopped: self.stopped,
            in_place: self.in_place,
            tickets: self.tickets,
            consumer: self.consumer.take(),
            ..Self::default()
        };
        std::mem::replace(self, rest)
    }
}

impl Hints {
    /// Something happened to this name in the directory.
    pub fn name(&self, name: impl Into<OsString>) {
        let consumer = {
            let mut dirty = self.lock();
            // Kept even if everything is to be scanned: a listing can miss a name, a lookup cannot.
            dirty.names.insert(name.into());
            if dirty.names.len() > MAX_NAMES {
                dirty.names.clear();
                dirty.everywhere = true;
            }
            if dirty.is_empty() {
                // For the consumer. If it is not waiting, it will look by itself.
                dirty.consumer.take()
            } else {
                self.shared.changed.notify_one();
                None
            }
        };
        // After the lock is released, because a waker is foreign code.
        if let Some(consumer) = consumer {
            consumer.wake();
        }
    }

    /// Something happened to the directory itself or to the path that leads to it.
    pub fn directory(&self) {
        self.change(|dirty| dirty.everywhere = true);
    }

    /// Hints have been dropped, and it is unknown for which names.
    pub fn overflow(&self) {
        self.change(|dirty| dirty.overflowed = true);
    }

    /// The backend has died or lost track: no more hints will come until it is [disarmed](crate::Backend::disarm) and
    /// armed again.
    pub fn lost(&self) {
        self.change(|dirty| dirty.lost = true);
    }

    pub(crate) fn stop(&self) {
        self.change(|dirty| dirty.stopped = true);
    }

    pub(crate) fn drained(&self) {
        self.change(|dirty| dirty.drained = true);
    }

    /// Requests a complete scan that begins after this call. Returns the number under which its end will be reported.
    pub(crate) fn request_scan(&self) -> u64 {
        let mut ticket = 0;
        self.change(|dirty| {
            dirty.tickets += 1;
            ticket = dirty.tickets;
            dirty.called = Some(ticket);
        });
        ticket
    }

    // The thread's side.

    /// Waits for a hint, or for `deadline`, and takes what is there.
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
        dirty.take()
    }

    /// Waits until the consumer has made room or requests a scan, and leaves all hints in place. Returns whether to
    /// continue.
    pub(crate) fn wait_for_room(&self) -> bool {
        let mut dirty = self.lock();
        while !dirty.drained && !dirty.stopped && dirty.called.is_none() {
            dirty = self.shared.changed.wait(dirty).unwrap_or_else(PoisonError::into_inner);
        }
        dirty.drained = false;
        !dirty.stopped
    }

    /// Whether a scan was requested.
    pub(crate) fn is_called(&self) -> bool {
        self.lock().called.is_some()
    }

    /// Sets whether the consumer handles single names from now on. Names that are already there, and about which it was
    /// not told, are still for the thread.
    pub(crate) fn set_in_place(&self, in_place: bool) {
        let mut dirty = self.lock();
        dirty.left_over |= in_place && !dirty.in_place && !dirty.names.is_empty();
        dirty.in_place = in_place;
    }

    // The consumer's side, while it handles single names.

    /// Takes up to `most` names, unless a larger task is due, which is for the thread. If there are none, the task will
    /// be woken when there are.
    pub(crate) fn take_few(&self, most: usize, context: &Context<'_>) -> HashSet<OsString> {
        let mut dirty = self.lock();
        // Also while the thread handles names: that may change while the task waits.
        if !dirty.in_place || dirty.names.is_empty() || !dirty.is_empty() {
            match &mut dirty.consumer {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            return HashSet::new();
        }
        if dirty.names.len() > most {
            dirty.left_over = true;
            self.shared.changed.notify_one();
            return HashSet::new();
        }
        std::mem::take(&mut dirty.names)
    }

    /// Tells the thread to continue what the consumer has begun: with these names, and with sockets to probe.
    pub(crate) fn leave(&self, names: HashSet<OsString>) {
        self.change(|dirty| {
            dirty.names.extend(names);
            dirty.left_over = true;
        });
    }

    fn change(&self, apply: impl FnOnce(&mut Dirty)) {
        apply(&mut self.lock());
        self.shared.changed.notify_one();
    }

    /// The set is consistent whenever the lock is free, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Dirty> {
        self.shared.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
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

    /// Counts its wake-ups.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_consumer_that_waits_already_is_woken_when_names_become_its_own() {
        let (hints, bell) = (Hints::default(), Arc::new(Bell::default()));
        let waker = Waker::from(bell.clone());
        assert!(hints.take_few(9, &Context::from_waker(&waker)).is_empty());
        hints.set_in_place(true);
        hints.name("a");
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
        assert_eq!(hints.take_few(9, &Context::from_waker(&waker)).len(), 1);
    }

    #[test]
    fn names_that_came_before_they_became_the_consumers_are_the_threads() {
        let hints = Hints::default();
        hints.name("a");
        hints.set_in_place(true);
        assert!(!hints.lock().is_empty(), "the thread has something to do");
        assert_eq!(hints.wait(far()).names.len(), 1);
        hints.name("b");
        hints.set_in_place(true);
        assert!(hints.lock().is_empty(), "it was told of this one");
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
