//! The control thread: owns the notify watcher, and obeys until nobody can order any more.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc;

use ::notify::{EventHandler, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::hub::Members;
use crate::event::Why;
use crate::eyes;
use crate::target::Identity;

/// Says that a directory is watched already, under another path.
pub(super) const ALIAS: &str = "the directory is watched under another path";

/// What a member wants of the thread: to watch these, and no longer what it wanted before.
pub(super) struct Order {
    pub(super) member: u64,
    pub(super) wanted: Vec<Watch>,
    pub(super) reply: mpsc::Sender<Result<(), Why>>,
}

pub(super) struct Watch {
    pub(super) path: PathBuf,
    /// Hints from there speed things up, but looking finds the same. Its parent may be closed to us.
    pub(super) optional: bool,
}

/// A directory that is watched.
struct Watched {
    /// Which directory it was then; the kernel watches that one, whatever the path leads to later.
    identity: Option<Identity>,
    members: BTreeSet<u64>,
}

/// The thread's life.
pub(super) fn obey(inbox: &mpsc::Receiver<Order>, handler: impl EventHandler, members: &Members) {
    let created = catch_unwind(AssertUnwindSafe(|| RecommendedWatcher::new(handler, ::notify::Config::default())));
    let created = match created {
        Ok(created) => created.map_err(|error| explain(&error)),
        Err(panic) => Err(panicked(&*panic)),
    };
    let mut watches = match created {
        Ok(watcher) => Watches { watcher, by_path: HashMap::new() },
        Err(why) => {
            members.retire();
            // Answers the order that is on its way, then ends: the next one starts anew.
            if let Ok(Order { reply, .. }) = inbox.recv() {
                let _ = reply.send(Err(why));
            }
            return;
        }
    };
    while let Ok(Order { member, wanted, reply }) = inbox.recv() {
        let answer = catch_unwind(AssertUnwindSafe(|| watches.execute(member, &wanted)));
        // Nobody waits for it any more if it took too long.
        let _ = reply.send(answer.unwrap_or_else(|panic| Err(panicked(&*panic))));
    }
    // Its end is wanted. It panics if notify's thread has died.
    members.retire();
    let _ = catch_unwind(AssertUnwindSafe(|| drop(watches.watcher)));
}

struct Watches {
    watcher: RecommendedWatcher,
    by_path: HashMap<PathBuf, Watched>,
}

impl Watches {
    fn execute(&mut self, member: u64, wanted: &[Watch]) -> Result<(), Why> {
        let unwanted = self.by_path.iter_mut().filter_map(|(path, watched)| {
            watched.members.remove(&member);
            // Also one that nobody has had since it could not be watched again.
            (watched.members.is_empty() && wanted.iter().all(|watch| watch.path != *path)).then(|| path.clone())
        });
        for path in unwanted.collect::<Vec<_>>() {
            self.unwatch(&path);
        }
        for watch in wanted {
            if let Err(why) = self.watch(member, &watch.path)
                && (!watch.optional || matches!(why, Why::LimitReached { .. }))
            {
                return Err(why);
            }
        }
        Ok(())
    }

    fn watch(&mut self, member: u64, path: &PathBuf) -> Result<(), Why> {
        let identity = eyes::identify(path).ok();
        let is_alias = |(other, watched): (&PathBuf, &Watched)| {
            other != path && identity.is_some() && watched.identity == identity
        };
        if self.by_path.iter().any(is_alias) {
            return Err(Why::BackendFailed { message: ALIAS.into() });
        }
        if self.by_path.get(path).is_some_and(|watched| watched.identity != identity) {
            // Another directory than the one watched. The kernel would report both under this path.
            let _ = self.watcher.unwatch(path);
        }
        // Also what is watched already: notify drops a watch by itself when the directory is moved, even if it is moved back.
        self.watcher.watch(path, RecursiveMode::NonRecursive).map_err(|error| explain(&error))?;
        let watched = self.by_path.entry(path.clone()).or_insert(Watched { identity, members: BTreeSet::new() });
        watched.identity = identity;
        watched.members.insert(member);
        Ok(())
    }

    fn unwatch(&mut self, path: &PathBuf) {
        self.by_path.remove(path);
        // Fails for what the kernel has dropped by itself, which is what was wanted.
        let _ = self.watcher.unwatch(path);
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

/// What notify calls for each event: keeps a panic from killing notify's thread.
pub(super) struct Guarded<F> {
    pub(super) callback: F,
    pub(super) members: Members,
    pub(super) sentinel: Sentinel,
}

impl<F: FnMut(::notify::Result<::notify::Event>) + Send + 'static> EventHandler for Guarded<F> {
    fn handle_event(&mut self, event: ::notify::Result<::notify::Event>) {
        let _lives_as_long = &self.sentinel;
        if catch_unwind(AssertUnwindSafe(|| (self.callback)(event))).is_err() {
            // What the event said is lost, that there was one is not.
            self.members.overflow();
        }
    }
}

/// Lives as long as notify's thread, whose handle is not to be had, and reports an end that comes
/// unwanted.
pub(super) struct Sentinel {
    pub(super) members: Members,
    pub(super) _alive: mpsc::Sender<Infallible>,
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.members.lose();
    }
}
