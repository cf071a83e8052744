//! Noticing that a listener's name is gone.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use crate::bind::publish::{NameLoss, Published};
use crate::sys;

/// How often the file is looked at where it cannot be watched.
const PERIOD: Duration = Duration::from_secs(1);

/// What happens to a file of which the last name is removed, or that is renamed. Only this file is watched, so what others do
/// in its directory costs nothing.
const EVENTS: WatchFlags =
    WatchFlags::ATTRIB.union(WatchFlags::MOVE_SELF).union(WatchFlags::DELETE_SELF).union(WatchFlags::DONT_FOLLOW);

/// The watch on a listener's file: by events (`inotify(7)`), else by looking at it once a second.
#[derive(Debug)]
pub(super) struct NameWatch {
    events: Option<AsyncFd<OwnedFd>>,
    next_look: Option<Instant>,
    has_looked: bool,
    is_told: bool,
}

impl NameWatch {
    /// A watch, and why it is one without events if it is.
    pub(super) fn start(name: &Published) -> (Self, Option<io::Error>) {
        let (events, error) = match events(name.directory().path().absolute()) {
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
            let loss = name.is_lost();
            let was_told = std::mem::replace(&mut self.is_told, loss.is_some());
            if let (Some(loss), false) = (loss, was_told) {
                return loss;
            }
        }
    }

    /// Nothing awaits between the end of this and the look that follows.
    async fn changed(&mut self) {
        let Some(events) = &self.events else {
            // Set before it is awaited, so that dropping the future does not put it off.
            let at = *self.next_look.get_or_insert_with(|| Instant::now() + PERIOD);
            sleep_until(at).await;
            self.next_look = None;
            return;
        };
        let drained = events.async_io(Interest::READABLE, drain).await;
        if drained.is_err() {
            self.events = None;
        }
    }
}

fn events(path: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    inotify::add_watch(&inotify, path, EVENTS)?;
    sys::watch(inotify, Interest::READABLE)
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
