//! The end of serving: asked for, or come by itself.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::limits::{ServeStats, Slots};
use crate::bind::publish::NameLoss;
use crate::error::AcceptError;

/// How long the server may take to begin reading a connection that waited when draining began.
const FIRST_READ: Duration = Duration::from_secs(1);

/// What an [`Incoming`](super::Incoming), its connections and its handles share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) slots: Arc<Slots>,
    pub(super) drain: watch::Sender<bool>,
    pub(super) ended: watch::Sender<bool>,
    /// Connections that were given out, and from which nothing has been read yet.
    pub(super) unread: watch::Sender<usize>,
    /// Connections that were given out and not dropped.
    pub(super) open: watch::Sender<usize>,
    /// How the listener's name was last lost.
    pub(super) name_lost: watch::Sender<Option<NameLoss>>,
    pub(super) failure: Mutex<Option<Arc<AcceptError>>>,
    pub(super) stats: Mutex<ServeStats>,
}

impl Shared {
    pub(super) fn new(slots: Arc<Slots>) -> Arc<Self> {
        Arc::new(Self {
            slots,
            drain: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            unread: watch::Sender::new(0),
            open: watch::Sender::new(0),
            name_lost: watch::Sender::new(None),
            failure: Mutex::default(),
            stats: Mutex::default(),
        })
    }

    pub(super) fn stats(&self) -> std::sync::MutexGuard<'_, ServeStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fail(&self, error: AcceptError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(error));
    }
}

/// Ends serving, and tells how it ended. Cheap to clone.
///
/// See [the module](super) for how it goes together with a server.
#[derive(Debug, Clone)]
pub struct DrainHandle {
    pub(super) shared: Arc<Shared>,
}

impl DrainHandle {
    /// Stops listening without losing a connection: the name is taken back, and the connections that wait are still given out.
    ///
    /// While these are given out the limit on all connections is not held, so that they do not wait for connections which end
    /// only afterwards. There are at most as many as the [backlog](crate::Bind::backlog).
    pub fn drain(&self) {
        self.shared.drain.send_replace(true);
    }

    /// Resolves when no further connection comes: after [`drain`](Self::drain), because the listener [broke](Self::failure), or
    /// because the server dropped it. This is the shutdown signal for the server.
    ///
    /// After a drain it also waits until the server has begun to read each connection, for up to a second: hyper drops a
    /// connection without answering if it is told to shut down before that.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Panics
    ///
    /// In a tokio runtime that was built without time.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            reaches(&shared.ended, |ended| *ended).await;
            // A peer that has sent nothing yet is not waited for longer: it has no request that could be interrupted.
            let _ = timeout(FIRST_READ, reaches(&shared.unread, |unread| *unread == 0)).await;
        }
    }

    /// Resolves when no further connection comes and the server has dropped all that it was given.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            reaches(&shared.ended, |ended| *ended).await;
            reaches(&shared.open, |open| *open == 0).await;
        }
    }

    /// Resolves when the listener has lost its name, and how: its file was removed or replaced, and new clients do not find the
    /// server. Resolves at once if that has happened before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn name_lost(&self) -> impl Future<Output = NameLoss> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            let mut lost = shared.name_lost.subscribe();
            let lost = lost.wait_for(Option::is_some).await.ok().and_then(|loss| *loss);
            lost.expect("its sender is in `shared`, and the condition holds")
        }
    }

    /// Why the listener cannot accept any more; `None` while it can, and after an orderly end.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<AcceptError>> {
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> ServeStats {
        let mut stats = self.shared.stats().clone();
        stats.open = self.shared.slots.open();
        stats
    }
}

/// Waits until the value is so; the sender lives as long as whoever waits.
pub(super) async fn reaches<T>(value: &watch::Sender<T>, condition: impl FnMut(&T) -> bool) {
    let _ = value.subscribe().wait_for(condition).await;
}
