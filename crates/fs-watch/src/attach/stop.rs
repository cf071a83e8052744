//! How a handler learns that it should stop.

use tokio::sync::watch;

/// Tells a handler that its socket is gone or replaced, or that everything is being shut down.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(super) fn new(asked: watch::Receiver<bool>) -> Self {
        Self(asked)
    }

    /// Waits until the handler is asked to stop. After that it has the [patience](super::Policy::with_patience) of its
    /// policy to finish.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: you may drop it and call it again any number of times.
    pub async fn requested(&self) {
        // An error means that the attachment is gone, which is a reason to stop, too.
        let _ = self.0.clone().wait_for(|asked| *asked).await;
    }

    /// Whether the handler has been asked to stop.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}
