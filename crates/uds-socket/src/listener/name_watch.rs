//! Watching a listener's name in a runtime.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use crate::bind::publish::{NameLoss, Published};
use crate::name_watch::{Events, PERIOD, Told, drain};
use crate::sys;

/// The watch on a listener's name.
#[derive(Debug)]
pub(super) struct NameWatch {
    events: Option<Events<AsyncFd<OwnedFd>>>,
    next_check: Option<Instant>,
    has_looked: bool,
    told: Told,
}

impl NameWatch {
    /// Starts a watch; also returns the error if it cannot get events.
    pub(super) fn start(name: &Published) -> (Self, Option<io::Error>) {
        let (events, error) = match Events::of(name, |inotify| sys::watch(inotify, Interest::READABLE)) {
            Ok(events) => (Some(events), None),
            Err(error) => (None, Some(error)),
        };
        (Self { events, next_check: None, has_looked: false, told: Told::default() }, error)
    }

    /// Waits until the name is lost. Each loss is reported once.
    ///
    /// # Cancel safety
    /// Dropping the future does not miss a loss.
    pub(super) async fn lost(&mut self, name: &Published) -> NameLoss {
        loop {
            // The first check sees what happened before the watch started.
            if self.has_looked {
                self.changed().await;
            }
            self.has_looked = true;
            if let Some(loss) = self.told.check(name, self.events.as_mut()) {
                return loss;
            }
        }
    }

    /// There is no await point between the end of this and the check that follows.
    async fn changed(&mut self) {
        let Self { events, next_check, .. } = self;
        let is_timed = events.as_ref().is_none_or(|events| !events.is_complete());
        // Set before it is awaited, so that dropping the future does not delay it.
        let at = is_timed.then(|| *next_check.get_or_insert_with(|| Instant::now() + PERIOD));
        let has_events = tokio::select! {
            has_events = next(events.as_mut()) => has_events,
            () = until(at) => true,
        };
        *next_check = None;
        if !has_events {
            *events = None;
        }
    }
}

/// Never ends without a time, and then needs no timer.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits for an event; false if there will be no more. Never returns if there are no events at all.
async fn next(events: Option<&mut Events<AsyncFd<OwnedFd>>>) -> bool {
    let Some(events) = events else { return std::future::pending().await };
    let has_events = events.inotify().async_io(Interest::READABLE, drain).await.is_ok();
    events.handle_event();
    has_events
}
