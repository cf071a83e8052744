//! Where hints come from. A backend says only where to look, never what is true.

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
/// Its methods are called on the watching thread, one at a time, never on the consumer's. They may block, but must
/// return within about a second, because no scan happens meanwhile. Hints may be given from any thread.
///
/// The watcher's periodic scans find whatever a backend misses, so a poor backend makes events late, never wrong.
pub trait Backend: Send + 'static {
    /// Gives hints about `target` from now on, instead of the target that was armed before.
    ///
    /// This is called before each complete scan, even if the target is already armed. In that case it must not lose a
    /// hint, and should renew what may have been lost.
    ///
    /// # Errors
    ///
    /// Why hints about this target cannot be given. The watcher reports it, scans more often, and calls again later.
    fn arm(&mut self, target: &Target, hints: &Hints) -> Result<(), Why>;

    /// Releases every resource; [`arm`](Self::arm) may follow. Called when the backend has reported itself
    /// [lost](Hints::lost), and at the end.
    fn disarm(&mut self);

    /// How often to scan regardless of hints, if more often than the watcher's safety interval.
    fn scan_interval(&self) -> Option<Duration> {
        None
    }
}
