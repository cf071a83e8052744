//! Noticing that a listener's name is gone, for listeners with and without a runtime.
//!
//! We watch the file (`inotify(7)`) and everything that its path leads through: the directories above, up to the root,
//! and links. An idle listener is not woken. We cannot watch a directory that this process may not read; in that case,
//! and if there are no events at all, we check the name once a second. A mount over a directory above causes no event.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::bind::publish::{NameLoss, Published};
use crate::denied::{LINKS, prefixes};

/// How often to check the name if part of its path cannot be watched.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// Events of a directory or a link that is renamed or removed. Events inside a directory are left out, so the activity
/// of other processes there costs nothing.
const ABOVE: WatchFlags = WatchFlags::MOVE_SELF.union(WatchFlags::DELETE_SELF).union(WatchFlags::DONT_FOLLOW);

/// Events of a file that is renamed, or whose last name is removed.
const EVENTS: WatchFlags = ABOVE.union(WatchFlags::ATTRIB);

/// What was last reported about a listener's name: each loss is reported once.
#[derive(Debug, Default)]
pub(crate) struct Told {
    is_lost: bool,
}

impl Told {
    /// Checks the name. Returns how it was lost, if that was not reported yet.
    pub(crate) fn check(&mut self, name: &Published, events: Option<&mut Events<impl AsFd>>) -> Option<NameLoss> {
        let mut loss = name.is_lost();
        // The path may lead here through other directories now. The second check sees what changed before they were
        // watched.
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

/// The kernel's events for a file and everything that its path leads through. `F` holds the descriptor.
#[derive(Debug)]
pub(crate) struct Events<F = OwnedFd> {
    inotify: F,
    watched: BTreeSet<i32>,
    is_complete: bool,
    /// Whether there was no event since the watches were renewed.
    is_renewed: bool,
}

impl<F: AsFd> Events<F> {
    /// `hold` wraps a non-blocking descriptor.
    pub(crate) fn of(name: &Published, hold: impl FnOnce(OwnedFd) -> io::Result<F>) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let path = path_of(name);
        // The file first: without it, the other watches are useless.
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

    /// Watches everything that `path` leads through now, and nothing else. Returns false if there was no event since
    /// the last time.
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
            // If its file is gone, the watch has ended already.
            let _ = inotify::remove_watch(self.inotify.as_fd(), *superfluous);
        }
        self.watched = watched;
        true
    }

    /// Records an event.
    pub(crate) const fn handle_event(&mut self) {
        self.is_renewed = false;
    }
}

/// Reads all waiting events. It does not matter which ones they are.
///
/// # Errors
///
/// `WouldBlock` if there are none. Any other error means that there will be no more.
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

/// Everything that `path` leads through, including itself: the directories above, the links, and the directories above
/// their targets.
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
