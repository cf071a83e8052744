//! Where hints come from. A backend never says what is true, only where to look.

use std::time::Duration;

use crate::event::Why;
use crate::hints::Hints;
use crate::target::Target;

mod inotify;
mod notify;
mod polling;
mod scripted;

pub use inotify::Inotify;
pub use notify::Notify;
pub use polling::Polling;
pub use scripted::{Script, Scripted};

/// A source of hints that something in a directory may have changed.
///
/// Its methods are called on the watching thread, one at a time, never on the consumer's; they may block,
/// but must come back within about a second, because nothing is looked at meanwhile. Hints may be given
/// from any thread.
///
/// Whatever a backend misses is found by the watcher's periodic look, so a poor backend makes events
/// late, never wrong.
pub trait Backend: Send + 'static {
    /// Gives hints about `target` from now on, instead of whatever was armed before.
    ///
    /// Called before each complete look, so also for a target that is armed already: then it must not
    /// lose a hint, and should renew what may have been lost.
    ///
    /// # Errors
    ///
    /// Why hints about this target cannot be given. The watcher reports it, looks more often, and calls
    /// again later.
    fn arm(&mut self, target: &Target, hints: &Hints) -> Result<(), Why>;

    /// Gives up every resource; [`arm`](Self::arm) may follow. Called when the backend has reported
    /// itself [lost](Hints::lost), and at the end.
    fn disarm(&mut self);

    /// How often to look regardless of hints, if more often than the watcher's safety interval.
    fn look_every(&self) -> Option<Duration> {
        None
    }
}
