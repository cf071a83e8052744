//! How a handler hears that it should end.

use tokio::sync::watch;

/// Tells a handler that its socket is gone, or that everything ends.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(super) fn new(asked: watch::Receiver<bool>) -> Self {
        Self(asked)
    }

    /// Waits until the handler is asked to stop. From then on it has the [patience](super::Policy::with_patience) of its
    /// [`Attached`](super::Attached) to say goodbye.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and awaited again any number of times.
    pub async fn requested(&self) {
        // An error means that the attachment is gone, which is as good a reason.
        let _ = self.0.clone().wait_for(|asked| *asked).await;
    }

    /// Whether the handler has been asked to stop.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}
