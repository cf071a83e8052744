//! How a funnel is told to stop.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// A request to stop, made once and seen by every task of the funnel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    token: CancellationToken,
    /// When time runs out; `None` if that is further off than a clock can say.
    deadline: Arc<OnceLock<Option<Instant>>>,
}

impl Stop {
    pub(crate) fn ask(&self, within: Duration) {
        // The first request counts.
        let _ = self.deadline.set(Instant::now().checked_add(within));
        self.token.cancel();
    }

    /// The time that is left. None if no stop was asked for, because then the funnel was dropped.
    pub(crate) fn left(&self) -> Duration {
        match self.deadline.get() {
            Some(Some(deadline)) => deadline.saturating_duration_since(Instant::now()),
            Some(None) => Duration::MAX,
            None => Duration::ZERO,
        }
    }

    /// Waits until a stop was asked for and time has run out.
    pub(crate) async fn is_over(&self) {
        self.asked().await;
        let left = self.left();
        // A timer would take up to a millisecond more.
        if !left.is_zero() {
            sleep(left).await;
        }
    }

    pub(crate) async fn asked(&self) {
        self.token.cancelled().await;
    }

    pub(crate) fn asked_owned(&self) -> WaitForCancellationFutureOwned {
        self.token.clone().cancelled_owned()
    }

    /// Asks when it is dropped.
    pub(crate) fn guard(&self) -> DropGuard {
        self.token.clone().drop_guard()
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.token.is_cancelled()
    }
}

/// Stops a funnel from anywhere: a signal handler, another task.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) stop: Stop,
}

impl Handle {
    /// Ends the funnel without losing what has been sent to it: names are taken back, connections that wait are accepted, and
    /// every connection is read until the kernel holds nothing more of it, for `deadline` at most. Connections that still
    /// wait then are closed and counted ([`Report::unread`](crate::Report::unread)).
    ///
    /// The application goes on receiving until [`Funnel::recv`](crate::Funnel::recv) answers `None`.
    pub fn shutdown(&self, deadline: Duration) {
        self.stop.ask(deadline);
    }

    /// Whether a shutdown was asked for, or the funnel is gone.
    ///
    /// A funnel ends without one when all of its sources have ended, or when it is full
    /// ([`Limits::admissions`](crate::Limits::admissions)).
    #[must_use]
    pub fn is_shutdown(&self) -> bool {
        self.stop.is_asked()
    }
}
