//! State that stream, handles and report share: waiting descriptors, and counts of the others.

use std::{
    fmt,
    sync::{MutexGuard, PoisonError},
};

use super::{incoming::Incoming, limits::Limits, outgoing::Outgoing};

/// This outlives the socket, because a report does, so it must not hold the socket.
pub(super) struct Transit {
    outgoing: std::sync::Mutex<Outgoing>,
    incoming: std::sync::Mutex<Incoming>,
}

impl Transit {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            outgoing: std::sync::Mutex::new(Outgoing::new(limits.queued())),
            incoming: std::sync::Mutex::new(Incoming::new(limits.held())),
        }
    }

    pub(super) fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        // No code under these locks leaves them half changed, so a panic elsewhere is harmless.
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn incoming(&self) -> MutexGuard<'_, Incoming> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Transit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transit").finish_non_exhaustive()
    }
}
