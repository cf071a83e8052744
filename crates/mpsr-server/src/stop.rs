//! Stopping a funnel.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// A request to stop, made once and visible to every task of the funnel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    token: CancellationToken,
    /// The deadline; `None` if a clock cannot represent it.
    deadline: Arc<OnceLock<Option<Instant>>>,
}

impl Stop {
    pub(crate) fn ask(&self, within: Duration) {
        // The first request is the one that counts.
        let _ = self.deadline.set(Instant::now().checked_add(within));
        self.token.cancel();
    }

    /// The remaining time. Zero if there was no request, because then the funnel was dropped.
    pub(crate) fn left(&self) -> Duration {
        match self.deadline.get() {
            Some(Some(deadline)) => deadline.saturating_duration_since(Instant::now()),
            Some(None) => Duration::MAX,
            None => Duration::ZERO,
        }
    }

    /// Waits until there was a request to stop and its deadline has passed.
    pub(crate) async fn is_over(&self) {
        self.asked().await;
        let left = self.left();
        // A timer would take up to a millisecond longer.
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

    /// Requests a stop when it is dropped.
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
    /// Ends the funnel without losing what was sent to it: it removes the names of its listeners, accepts the
    /// connections that wait, and reads every connection until the kernel holds nothing more for it, for at most
    /// `deadline`. It then closes and counts connections that still wait ([`Report::unread`](crate::Report::unread)).
    ///
    /// The application continues to receive until [`Funnel::recv`](crate::Funnel::recv) returns `None`.
    pub fn shutdown(&self, deadline: Duration) {
        self.stop.ask(deadline);
    }

    /// Whether there was a request for a shutdown, or the funnel is gone.
    ///
    /// A funnel also ends without a request when all of its sources have ended, or when it is full
    /// ([`Limits::admissions`](crate::Limits::admissions)).
    #[must_use]
    pub fn is_shutdown(&self) -> bool {
        self.stop.is_asked()
    }
}
