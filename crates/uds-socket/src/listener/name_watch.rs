//! Noticing that a listener's name is gone.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use crate::bind::publish::{NameLoss, Published};
use crate::denied::{LINKS, prefixes};
use crate::sys;

/// How often the name is looked up where part of its path cannot be watched.
const PERIOD: Duration = Duration::from_secs(1);

/// What happens to a directory, or to a link, that is renamed or removed. What happens inside a directory makes no event, so
/// what others do there costs nothing.
const ABOVE: WatchFlags = WatchFlags::MOVE_SELF.union(WatchFlags::DELETE_SELF).union(WatchFlags::DONT_FOLLOW);

/// What happens to a file of which the last name is removed, or that is renamed.
const EVENTS: WatchFlags = ABOVE.union(WatchFlags::ATTRIB);

/// The watch on a listener's name.
///
/// Watched (`inotify(7)`) are the file and everything its path leads through: the directories above, up to the root, and
/// links. An idle listener is not woken. A directory that this process may not read cannot be watched; then, and where
/// there are no events at all, the name is looked up once a second. A mount over a directory above makes no event.
#[derive(Debug)]
pub(super) struct NameWatch {
    events: Option<Events>,
    next_look: Option<Instant>,
    has_looked: bool,
    is_told: bool,
}

impl NameWatch {
    /// A watch, and why it is one without events if it is.
    pub(super) fn start(name: &Published) -> (Self, Option<io::Error>) {
        let (events, error) = match Events::of(path_of(name)) {
            Ok(events) => (Some(events), None),
            Err(error) => (None, Some(error)),
        };
        (Self { events, next_look: None, has_looked: false, is_told: false }, error)
    }

    /// Waits until the name is lost. It is told once, and again when it was lost again.
    ///
    /// # Cancel safety
    /// A loss is not missed if the future is dropped.
    pub(super) async fn lost(&mut self, name: &Published) -> NameLoss {
        loop {
            // What happened before there was a watch is seen at the first look.
            if self.has_looked {
                self.changed().await;
            }
            self.has_looked = true;
            let mut loss = name.is_lost();
            // The path may lead here through other directories now. What changed before they were watched is seen by the second
            // look.
            if loss.is_none() && self.events.as_mut().is_some_and(|events| events.renew(path_of(name))) {
                loss = name.is_lost();
            }
            let was_told = std::mem::replace(&mut self.is_told, loss.is_some());
            if let (Some(loss), false) = (loss, was_told) {
                return loss;
            }
        }
    }

    /// Nothing awaits between the end of this and the look that follows.
    async fn changed(&mut self) {
        let Self { events, next_look, .. } = self;
        let is_timed = events.as_ref().is_none_or(|events| !events.is_complete);
        // Set before it is awaited, so that dropping the future does not put it off.
        let at = is_timed.then(|| *next_look.get_or_insert_with(|| Instant::now() + PERIOD));
        let has_events = tokio::select! {
            has_events = Events::next(events.as_mut()) => has_events,
            () = until(at) => true,
        };
        *next_look = None;
        if !has_events {
            *events = None;
        }
    }
}

fn path_of(name: &Published) -> &Path {
    name.directory().path().absolute()
}

/// Does not end without a time, and needs no timer then.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The kernel's events of a file and of everything its path leads through.
#[derive(Debug)]
struct Events {
    inotify: AsyncFd<OwnedFd>,
    watched: BTreeSet<i32>,
    /// Whether everything is watched.
    is_complete: bool,
    /// Whether there was an event since.
    is_renewed: bool,
}

impl Events {
    fn of(path: &Path) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // The file first: without it the rest is of no use.
        inotify::add_watch(&inotify, path, EVENTS)?;
        let inotify = sys::watch(inotify, Interest::READABLE)?;
        let mut events = Self { inotify, watched: BTreeSet::new(), is_complete: false, is_renewed: false };
        events.renew(path);
        Ok(events)
    }

    /// Watches everything that `path` leads through now, and nothing else; false if there was no event since the last time.
    fn renew(&mut self, path: &Path) -> bool {
        if std::mem::replace(&mut self.is_renewed, true) {
            return false;
        }
        self.is_complete = true;
        let mut watched = BTreeSet::new();
        for place in places(path, LINKS) {
            let mask = if place == path { EVENTS } else { ABOVE };
            match inotify::add_watch(&self.inotify, place, mask) {
                Ok(number) => drop(watched.insert(number)),
                Err(_) => self.is_complete = false,
            }
        }
        for superfluous in self.watched.difference(&watched) {
            // One whose file is gone has gone with it.
            let _ = inotify::remove_watch(&self.inotify, *superfluous);
        }
        self.watched = watched;
        true
    }

    /// Waits for an event; false if there will be no more. Never returns if there are none at all.
    async fn next(events: Option<&mut Self>) -> bool {
        let Some(events) = events else { return std::future::pending().await };
        let has_events = events.inotify.async_io(Interest::READABLE, drain).await.is_ok();
        events.is_renewed = false;
        has_events
    }
}

/// Everything that `path` leads through, itself included: the directories above, the links, and what is above their targets.
fn places(path: &Path, links: u32) -> Vec<PathBuf> {
    let mut places = Vec::new();
    for place in prefixes(path) {
        if let (Ok(target), Some(links)) = (place.read_link(), links.checked_sub(1)) {
            places.extend(self::places(&place.with_file_name(target), links));
        }
        places.push(place);
    }
    places
}

/// Reads all events there are; which ones does not matter.
fn drain(inotify: &OwnedFd) -> io::Result<()> {
    let mut room = [0; 1024];
    let mut has_any = false;
    loop {
        match rustix::io::read(inotify.as_fd(), &mut room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => has_any = true,
            Err(rustix::io::Errno::AGAIN) if has_any => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}
