//! Hints from the kernel's file events, limited to certain kinds (`inotify(7)`).
//!
//! We request only events of sockets that appear or disappear. Writing to other files, in the directory or beside it,
//! makes no event, costs the writer nothing and does not wake us.
//!
//! Each user of the system has 128 inotify instances. All watchers of a process therefore share one, that of the
//! [`Hub`], which starts with the first of them and ends with the last.
//!
//! ```text
//!   arm ──► inotify_add_watch ──► watch number ─┐
//!                                               ▼
//!   kernel ──events──► reader thread ──► watch number ──► who wants it, and as what ──► hint
//! ```
//!
//! The kernel has one watch per directory, however many paths lead there, and returns its number again if the watch is
//! added again. So everything here uses numbers, and no paths are compared.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::inotify::{WatchFlags, add_watch};
use rustix::io::Errno;

use super::Backend;
use crate::event::Why;
use crate::hints::Hints;
use crate::target::Target;

mod hub;
mod registry;
#[cfg(test)]
mod tests;

use hub::Hub;
use registry::{Role, Wanted};

/// The hub that watchers of this process join.
static SHARED: Mutex<Option<Arc<Hub>>> = Mutex::new(None);

/// Events of a directory and of its entries as names, and none of events that a file in it can have.
///
/// As soon as a directory's watch includes one of the latter ([`ON_CHILDREN`]), the kernel looks up the parent on every
/// write to a file in it. This costs a writer of short lines about a fifth of its rate, even if the event itself is not
/// included. The price of leaving `ATTRIB` out is small: a `chmod` of the directory is noticed with the next event in
/// it or by the next safety scan, and a socket that its server prepares with a `chmod` before it listens is on the
/// schedule of new sockets anyway.
const MASK: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    // All watches are alike, so this adds nothing. Without it the kernel clears the mask of a watch that exists, for a moment in
    // which another watcher's events of the same directory are dropped.
    .union(WatchFlags::MASK_ADD);

/// What the kernel calls `FS_EVENTS_POSS_ON_CHILD`.
const ON_CHILDREN: WatchFlags = WatchFlags::ACCESS
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::CLOSE_NOWRITE)
    .union(WatchFlags::OPEN);

const _: () = assert!(!MASK.intersects(ON_CHILDREN), "a watched directory would slow down its writers");

/// Arming is retried this often if a watch was released meanwhile. More would take other watchers that arm and disarm
/// constantly.
const ATTEMPTS: usize = 100;

/// Hints from the kernel. The default backend. All instances in a process share one source.
#[derive(Debug, Default)]
pub struct Inotify {
    seat: Option<Seat>,
}

/// One watcher's place at a hub.
#[derive(Debug)]
struct Seat {
    hub: Arc<Hub>,
    number: u64,
}

impl Backend for Inotify {
    fn arm(&mut self, target: &Target, hints: &Hints) -> Result<(), Why> {
        if self.seat.as_ref().is_some_and(|seat| seat.hub.is_over()) {
            // The result of its end is known.
            self.seat = None;
        }
        let seat = match &self.seat {
            Some(seat) => seat,
            None => self.seat.insert(Seat::join(hints)?),
        };
        seat.arm(target)
    }

    fn disarm(&mut self) {
        if let Some(hub) = self.seat.take().and_then(|seat| seat.leave()) {
            hub.wait();
        }
    }
}

impl Seat {
    /// Joins the hub of the process, and starts it if necessary.
    fn join(hints: &Hints) -> Result<Self, Why> {
        let mut shared = shared();
        let hub = match shared.take().filter(|hub| !hub.is_over()) {
            Some(hub) => hub,
            None => Hub::start()?,
        };
        // Under the lock, so that the last one to leave cannot mistake the hub for empty.
        let seat = Self::at(&hub, hints);
        *shared = Some(hub);
        Ok(seat)
    }

    fn at(hub: &Arc<Hub>, hints: &Hints) -> Self {
        Self { hub: hub.clone(), number: hub.registry().admit(hints) }
    }

    fn arm(&self, target: &Target) -> Result<(), Why> {
        for _ in 0..ATTEMPTS {
            // Not under the lock: a path may lead to a filesystem that does not answer.
            let epoch = self.hub.registry().epoch();
            let wanted = self.add_watches(target);
            if let Some(unwanted) = self.hub.registry().register(self.number, &wanted, epoch) {
                self.hub.give_up(&unwanted);
                return wanted.trouble.map_or(Ok(()), Err);
            }
        }
        Err(Why::BackendFailed { message: "its watches are given up as fast as they are made".into() })
    }

    fn add_watches(&self, target: &Target) -> Wanted {
        let mut wanted = Wanted::default();
        for anchor in target.anchors() {
            match self.add_watch(&anchor.parent) {
                Ok(watch) => wanted.watches.push((watch, Role::Anchor(anchor.name.clone()))),
                Err(why @ Why::LimitReached { .. }) => wanted.trouble = Some(why),
                // It may be unreadable for us. Hints from there make events faster, but scans find the same.
                Err(_) => {}
            }
        }
        if let Some(directory) = target.directory() {
            match self.add_watch(directory) {
                Ok(watch) => wanted.watches.push((watch, Role::Directory)),
                Err(why) => wanted.trouble = Some(why),
            }
        }
        wanted
    }

    fn add_watch(&self, path: &Path) -> Result<i32, Why> {
        add_watch(self.hub.inotify(), path, MASK).map_err(|errno| match errno {
            Errno::NOSPC => Why::LimitReached { limit: "fs.inotify.max_user_watches" },
            Errno::NOMEM => Why::LimitReached { limit: "the kernel's memory" },
            errno => Why::from_listing(&io::Error::from(errno)),
        })
    }

    /// Releases everything. Returns the hub if this was the last user.
    fn leave(&self) -> Option<Arc<Hub>> {
        let mut shared = shared();
        let (unwanted, is_last) = self.hub.registry().dismiss(self.number);
        if !is_last {
            self.hub.give_up(&unwanted);
            return None;
        }
        // No watcher may join it any more. Its watches end with it.
        if shared.as_ref().is_some_and(|hub| Arc::ptr_eq(hub, &self.hub)) {
            *shared = None;
        }
        self.hub.stop();
        Some(self.hub.clone())
    }
}

impl Drop for Seat {
    /// Without waiting: what is left ends by itself. Leaving twice has no effect.
    fn drop(&mut self) {
        drop(self.leave());
    }
}

fn shared() -> MutexGuard<'static, Option<Arc<Hub>>> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}
