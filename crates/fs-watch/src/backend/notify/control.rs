//! The control thread: owns the notify watcher, and carries out orders until no sender is left.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use ::notify::{EventHandler, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::members::Members;
use crate::event::Why;
use crate::eyes;
use crate::target::Identity;

/// The error for a directory that is already watched under another path.
pub(super) const ALIAS: &str = "the directory is watched under another path";

/// An order of a member: watch these paths, and no longer the previous ones.
pub(super) struct Order {
    pub(super) member: u64,
    pub(super) wanted: Vec<Watch>,
    pub(super) reply: mpsc::Sender<Result<(), Why>>,
}

pub(super) struct Watch {
    pub(super) path: PathBuf,
    /// Hints from there make events faster, but scans find the same. Its parent may be unreadable for us.
    pub(super) optional: bool,
}

/// A directory that is watched.
struct Watched {
    /// Which directory it was then. The kernel watches that one, whatever the path leads to later.
    identity: Option<Identity>,
    members: HashSet<u64>,
}

/// The main function of the thread.
pub(super) fn obey(inbox: &mpsc::Receiver<Order>, handler: impl EventHandler, members: &Members, runs: &AtomicBool) {
    let created = catch_unwind(AssertUnwindSafe(|| RecommendedWatcher::new(handler, ::notify::Config::default())));
    runs.store(created.as_ref().is_ok_and(Result::is_ok), Ordering::Release);
    let created = match created {
        Ok(created) => created.map_err(|error| explain(&error)),
        Err(panic) => Err(panicked(&*panic)),
    };
    let mut watches = match created {
        Ok(watcher) => Watches {
            watcher,
            members,
            by_path: HashMap::new(),
            by_identity: HashMap::new(),
            by_member: HashMap::new(),
        },
        Err(why) => {
            members.retire();
            // Answers the order that is on its way, and then ends. The next order starts a new thread.
            if let Ok(Order { reply, .. }) = inbox.recv() {
                let _ = reply.send(Err(why));
            }
            return;
        }
    };
    while let Ok(Order { member, wanted, reply }) = inbox.recv() {
        let answer = catch_unwind(AssertUnwindSafe(|| watches.execute(member, &wanted)));
        members.handle_progress();
        // The caller has stopped waiting if this took too long.
        let _ = reply.send(answer.unwrap_or_else(|panic| Err(panicked(&*panic))));
    }
    // It is meant to end here. It panics if notify's thread has died.
    members.retire();
    let _ = catch_unwind(AssertUnwindSafe(|| drop(watches.watcher)));
}

/// The time of an order depends on what its member watches, not on how many other members there are.
struct Watches<'a> {
    watcher: RecommendedWatcher,
    members: &'a Members,
    by_path: HashMap<PathBuf, Watched>,
    /// The path under which each directory is watched.
    by_identity: HashMap<Identity, PathBuf>,
    by_member: HashMap<u64, Vec<PathBuf>>,
}

impl Watches<'_> {
    fn execute(&mut self, member: u64, wanted: &[Watch]) -> Result<(), Why> {
        let had = self.by_member.remove(&member).unwrap_or_default();
        let (stay, go): (Vec<_>, Vec<_>) =
            had.into_iter().partition(|path| wanted.iter().any(|watch| watch.path == *path));
        // First, because there may be no room for more.
        go.iter().for_each(|path| self.let_go(member, path));
        let mut held = Vec::new();
        let answer = wanted.iter().try_for_each(|watch| match self.watch(member, &watch.path) {
            Ok(()) => {
                held.push(watch.path.clone());
                Ok(())
            }
            Err(why) if watch.optional && !matches!(why, Why::LimitReached { .. }) => Ok(()),
            Err(why) => Err(why),
        });
        // If a path could not be watched again, it is not watched any more.
        stay.iter().filter(|path| !held.contains(path)).for_each(|path| self.let_go(member, path));
        if !held.is_empty() {
            self.by_member.insert(member, held);
        }
        answer
    }

    fn watch(&mut self, member: u64, path: &PathBuf) -> Result<(), Why> {
        let identity = eyes::identify(path).ok();
        if let Some(identity) = identity
            && let Some(other) = self.by_identity.get(&identity).filter(|other| *other != path).cloned()
        {
            if eyes::identify(&other).ok() == Some(identity) {
                return Err(Why::BackendFailed { message: ALIAS.into() });
            }
            // The directory was elsewhere and has been moved here. The kernel knows it once, so the old name must go
            // before the new one comes.
            self.abandon(&other);
        }
        if self.by_path.get(path).is_some_and(|watched| watched.identity != identity) {
            // This is not the directory that is watched. The kernel would report both under this path.
            let _ = self.watcher.unwatch(path);
        }
        // Even if it is already watched: notify drops a watch when the directory is moved, even if it is moved back.
        self.watcher.watch(path, RecursiveMode::NonRecursive).map_err(|error| explain(&error))?;
        let watched = self.by_path.entry(path.clone()).or_insert(Watched { identity, members: HashSet::new() });
        let before = std::mem::replace(&mut watched.identity, identity);
        watched.members.insert(member);
        if before != identity {
            self.forget(before, path);
        }
        if let Some(identity) = identity {
            self.by_identity.insert(identity, path.clone());
        }
        Ok(())
    }

    fn let_go(&mut self, member: u64, path: &PathBuf) {
        let Some(watched) = self.by_path.get_mut(path) else { return };
        watched.members.remove(&member);
        if watched.members.is_empty() {
            self.unwatch(path);
        }
    }

    /// The directory of this path is elsewhere, and so is its watch: every subscriber of the path must scan again.
    fn abandon(&mut self, path: &PathBuf) {
        if let Some(watched) = self.unwatch(path) {
            // Events that the kernel had for it are lost with the watch.
            self.members.stir(&watched.members);
        }
    }

    fn unwatch(&mut self, path: &PathBuf) -> Option<Watched> {
        let watched = self.by_path.remove(path)?;
        self.forget(watched.identity, path);
        // The call fails if the kernel has already dropped the watch, which is the desired result.
        let _ = self.watcher.unwatch(path);
        Some(watched)
    }

    fn forget(&mut self, identity: Option<Identity>, path: &PathBuf) {
        if let Some(identity) = identity
            && self.by_identity.get(&identity) == Some(path)
        {
            self.by_identity.remove(&identity);
        }
    }
}

pub(super) fn explain(error: &::notify::Error) -> Why {
    match &error.kind {
        ::notify::ErrorKind::MaxFilesWatch => Why::LimitReached { limit: "fs.inotify.max_user_watches" },
        ::notify::ErrorKind::Io(error) if error.raw_os_error() == Some(EMFILE) => {
            Why::LimitReached { limit: "fs.inotify.max_user_instances, or the limit of open files," }
        }
        ::notify::ErrorKind::PathNotFound => Why::Missing,
        ::notify::ErrorKind::Io(error) => Why::from_listing(error),
        _ => Why::BackendFailed { message: error.to_string() },
    }
}

/// `EMFILE` of errno.h, the same number on every Unix; the standard library has no name for it.
pub(super) const EMFILE: i32 = 24;

fn panicked(panic: &(dyn Any + Send)) -> Why {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic");
    Why::BackendFailed { message: message.to_owned() }
}

/// What notify calls for each event. Keeps a panic from killing notify's thread.
pub(super) struct Guarded<F> {
    pub(super) callback: F,
    pub(super) members: Members,
    pub(super) sentinel: Sentinel,
}

impl<F: FnMut(::notify::Result<::notify::Event>) + Send + 'static> EventHandler for Guarded<F> {
    fn handle_event(&mut self, event: ::notify::Result<::notify::Event>) {
        let _lives_as_long = &self.sentinel;
        if catch_unwind(AssertUnwindSafe(|| (self.callback)(event))).is_err() {
            // The event is lost, but not the fact that there was one.
            self.members.overflow();
        }
    }
}

/// Lives as long as notify's thread (there is no handle for it), and reports an unexpected end. If that thread cannot
/// start, nothing ends: the answer to the order says why, and need not be reported twice.
pub(super) struct Sentinel {
    pub(super) members: Members,
    pub(super) runs: Arc<AtomicBool>,
    pub(super) _alive: mpsc::Sender<Infallible>,
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        if self.runs.load(Ordering::Acquire) {
            self.members.lose();
        }
    }
}
