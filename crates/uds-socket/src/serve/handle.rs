//! The end of serving, by request or because of an error.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::limits::{ServeStats, Slots};
use crate::bind::publish::NameLoss;
use crate::error::AcceptError;

/// How long the server may take to begin to read from a connection that was waiting when draining began.
const FIRST_READ: Duration = Duration::from_secs(1);

/// The state that an [`Incoming`](super::Incoming), its connections and its handles share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) slots: Arc<Slots>,
    pub(super) drain: watch::Sender<bool>,
    pub(super) ended: watch::Sender<bool>,
    /// Connections that were returned, and from which nothing has been read yet.
    pub(super) unread: watch::Sender<usize>,
    /// Connections that were returned and not dropped.
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

/// Ends serving, and reports how it ended. Cheap to clone.
///
/// The [module](super) page explains how to use it with a server.
#[derive(Debug, Clone)]
pub struct DrainHandle {
    pub(super) shared: Arc<Shared>,
}

impl DrainHandle {
    /// Stops listening without losing a connection: the name is removed, and the waiting connections are still
    /// returned.
    ///
    /// During this time, the limit on all connections does not apply, so that waiting connections are not held up by
    /// connections that end only afterwards. There are at most as many as the [backlog](crate::Bind::backlog).
    pub fn drain(&self) {
        self.shared.drain.send_replace(true);
    }

    /// Resolves when no further connection will come: after [`drain`](Self::drain), because the listener
    /// [broke](Self::failure), or because the server dropped it. Use this as the shutdown signal for the server.
    ///
    /// After a drain, it also waits for up to a second until the server has begun to read from each connection: hyper
    /// drops a connection without an answer if it is told to shut down before that.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Panics
    ///
    /// In a tokio runtime built without time.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            reaches(&shared.ended, |ended| *ended).await;
            // Do not wait longer for a peer that has sent nothing: it has no request that could be interrupted.
            let _ = timeout(FIRST_READ, reaches(&shared.unread, |unread| *unread == 0)).await;
        }
    }

    /// Resolves when no further connection will come, and the server has dropped all connections.
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

    /// Resolves when the listener has lost its name, and returns how: its file was removed or replaced, so new clients
    /// cannot find the server. Resolves immediately if that has happened before.
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

    /// Why the listener cannot accept any more; `None` while it can, and after a normal end.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<AcceptError>> {
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The statistics so far.
    #[must_use]
    pub fn stats(&self) -> ServeStats {
        let mut stats = self.shared.stats().clone();
        stats.open = self.shared.slots.open();
        stats
    }
}

/// Waits until the value fulfils the condition. The caller must keep the sender alive.
pub(super) async fn reaches<T>(value: &watch::Sender<T>, condition: impl FnMut(&T) -> bool) {
    let _ = value.subscribe().wait_for(condition).await;
}
