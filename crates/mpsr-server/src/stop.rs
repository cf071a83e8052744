//! How a funnel is told to stop.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// Asked for once, heard by everybody who belongs to the funnel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    token: CancellationToken,
    deadline: Arc<OnceLock<Duration>>,
}

impl Stop {
    pub(crate) fn ask(&self, deadline: Duration) {
        // The first word counts.
        let _ = self.deadline.set(deadline);
        self.token.cancel();
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline.get().copied().unwrap_or_default()
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
    /// Has the funnel end without losing what has been sent to it: names are withdrawn, connections that wait to be accepted
    /// are, and every connection is read until the kernel holds nothing more of it, for `deadline` at most.
    ///
    /// The application goes on receiving until [`Funnel::recv`](crate::Funnel::recv) answers `None`.
    pub fn shutdown(&self, deadline: Duration) {
        self.stop.ask(deadline);
    }
}
