//! Noticing that a listener's name is gone, for listeners with a runtime and without.
//!
//! Watched (`inotify(7)`) are the file and everything its path leads through: the directories above, up to the root, and
//! links. An idle listener is not woken. A directory that this process may not read cannot be watched; then, and where
//! there are no events at all, the name is looked up once a second. A mount over a directory above makes no event.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::bind::publish::{NameLoss, Published};
use crate::denied::{LINKS, prefixes};

/// How often the name is looked up where part of its path cannot be watched.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// What happens to a directory, or to a link, that is renamed or removed. What happens inside a directory makes no event, so
/// what others do there costs nothing.
const ABOVE: WatchFlags = WatchFlags::MOVE_SELF.union(WatchFlags::DELETE_SELF).union(WatchFlags::DONT_FOLLOW);

/// What happens to a file of which the last name is removed, or that is renamed.
const EVENTS: WatchFlags = ABOVE.union(WatchFlags::ATTRIB);

/// What a listener was last told of its name: each loss is told once.
#[derive(Debug, Default)]
pub(crate) struct Told {
    is_lost: bool,
}

impl Told {
    /// Looks the name up. Returns how it was lost, if that was not told yet.
    pub(crate) fn check(&mut self, name: &Published, events: Option<&mut Events<impl AsFd>>) -> Option<NameLoss> {
        let mut loss = name.is_lost();
        // The path may lead here through other directories now. What changed before they were watched is seen by the second
        // look.
        if loss.is_none() && events.is_some_and(|events| events.renew(path_of(name))) {
            loss = name.is_lost();
        }
        let was_told = std::mem::replace(&mut self.is_lost, loss.is_some());
        loss.filter(|_| !was_told)
    }
}

fn path_of(name: &Published) -> &Path {
    name.directory().path().absolute()
}

/// The kernel's events of a file and of everything its path leads through. `F` holds the descriptor.
#[derive(Debug)]
pub(crate) struct Events<F = OwnedFd> {
    inotify: F,
    watched: BTreeSet<i32>,
    is_complete: bool,
    /// Whether there was no event since.
    is_renewed: bool,
}

impl<F: AsFd> Events<F> {
    /// `hold` makes a holder of a non-blocking descriptor.
    pub(crate) fn of(name: &Published, hold: impl FnOnce(OwnedFd) -> io::Result<F>) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let path = path_of(name);
        // The file first: without it the rest is of no use.
        inotify::add_watch(&inotify, path, EVENTS)?;
        let inotify = hold(inotify)?;
        let mut events = Self { inotify, watched: BTreeSet::new(), is_complete: false, is_renewed: false };
        events.renew(path);
        Ok(events)
    }

    pub(crate) const fn inotify(&self) -> &F {
        &self.inotify
    }

    /// Whether everything is watched.
    pub(crate) const fn is_complete(&self) -> bool {
        self.is_complete
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
            match inotify::add_watch(self.inotify.as_fd(), place, mask) {
                Ok(number) => drop(watched.insert(number)),
                Err(_) => self.is_complete = false,
            }
        }
        for superfluous in self.watched.difference(&watched) {
            // One whose file is gone has gone with it.
            let _ = inotify::remove_watch(self.inotify.as_fd(), *superfluous);
        }
        self.watched = watched;
        true
    }

    /// There was an event.
    pub(crate) const fn handle_event(&mut self) {
        self.is_renewed = false;
    }
}

/// Reads all events there are; which ones does not matter.
///
/// # Errors
///
/// `WouldBlock` if there are none; any other error means that there will be no more.
pub(crate) fn drain(inotify: &OwnedFd) -> io::Result<()> {
    let mut room = [0; 1024];
    let mut has_any = false;
    loop {
        match rustix::io::read(inotify, &mut room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => has_any = true,
            Err(Errno::AGAIN) if has_any => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
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
