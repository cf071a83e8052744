//! The limits on connections, in total and per user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::accept::AcceptStats;
use crate::bind::publish::NameLoss;
use crate::peer::Peer;

/// Limits on the connections that are open at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// In total; 1024 by default. At the limit, further connections wait in the kernel's queue (see
    /// [`Bind::backlog`](crate::Bind::backlog)). Zero means one.
    pub total: usize,
    /// Per user id; unlimited by default. A connection over the limit is accepted and closed immediately, so that it
    /// does not delay those of other users; [`ServeStats::over_limit`] counts it. Zero means one.
    pub per_uid: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 1024, per_uid: usize::MAX }
    }
}

/// The statistics of an [`Incoming`](super::Incoming).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServeStats {
    /// Connections that the server holds now.
    pub open: usize,
    /// Connections closed because their user had too many.
    pub over_limit: u64,
    /// The peer of the last of these.
    pub last_over_limit: Option<Peer>,
    /// The listener's statistics.
    pub listener: AcceptStats,
    /// How the listener's name was last lost, if it was: new clients cannot find the server then.
    pub name_lost: Option<NameLoss>,
}

/// The open connections, counted.
#[derive(Debug)]
pub(super) struct Slots {
    total: Arc<Semaphore>,
    per_uid: usize,
    users: Mutex<HashMap<u32, usize>>,
}

impl Slots {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        let total = limits.total.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            total: Arc::new(Semaphore::new(total)),
            per_uid: limits.per_uid.max(1),
            users: Mutex::default(),
        })
    }

    /// Waits until there is room for one more.
    pub(super) async fn wait(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.total).acquire_owned().await;
        permit.expect("nothing closes this semaphore")
    }

    /// A slot for a connection of this user; `None` if the user is at the limit.
    ///
    /// The permit is `None` while the queue is drained: those connections must not wait for connections that end only
    /// after the draining.
    pub(super) fn take(self: &Arc<Self>, uid: u32, permit: Option<OwnedSemaphorePermit>) -> Option<Slot> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let count = users.entry(uid).or_default();
        if *count >= self.per_uid {
            return None;
        }
        *count += 1;
        Some(Slot { slots: Arc::clone(self), uid, _permit: permit })
    }

    /// The number of open connections.
    pub(super) fn open(&self) -> usize {
        self.users.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

/// The slot of one connection. Dropping it releases the slot.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    uid: u32,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut users = self.slots.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = users.get_mut(&self.uid) {
            *count -= 1;
            // Do not keep an entry for a user without connections.
            if *count == 0 {
                users.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_its_limit_and_gets_its_places_back() {
        let slots = Slots::new(ConnectionLimits { total: 10, per_uid: 2 });
        let first = slots.take(7, None).unwrap();
        let _second = slots.take(7, None).unwrap();
        assert!(slots.take(7, None).is_none());
        let _other = slots.take(8, None).unwrap();
        assert_eq!(slots.open(), 3);
        drop(first);
        assert_eq!(slots.open(), 2);
        assert!(slots.take(7, None).is_some());
    }

    #[test]
    fn users_who_are_gone_take_no_memory() {
        let slots = Slots::new(ConnectionLimits::default());
        for uid in 0..1000 {
            drop(slots.take(uid, None));
        }
        assert!(slots.users.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_total_is_held_and_zero_is_one() {
        let slots = Slots::new(ConnectionLimits { total: 0, per_uid: 0 });
        let permit = slots.wait().await;
        assert_eq!(slots.total.available_permits(), 0);
        let slot = slots.take(7, Some(permit)).unwrap();
        drop(slot);
        assert_eq!(slots.total.available_permits(), 1);
    }
}
