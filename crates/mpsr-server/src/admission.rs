//! Admission: how many connections there may be at one time, from one user and in total. Also counts those that were
//! not admitted.
//!
//! A [`Pass`] is the right to be a producer. A listener requests one after it has accepted a connection. To a socket in
//! a directory, the funnel connects only when it has a pass, because a server that serves a single connection would
//! waste it on us.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use uds_actor::AcceptStats;

use crate::Limits;

/// Shared by every source of a funnel.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Connections at one time.
    slots: Arc<Semaphore>,
    total: Option<Total>,
    per_uid: usize,
    /// The number of connections of each user that has any.
    users: Mutex<HashMap<u32, usize>>,
    /// Cancelled when no further connection will be admitted.
    full: CancellationToken,
    counts: Mutex<Counts>,
}

/// The limit on the producers that are admitted in total.
///
/// A connection holds a permit while it has sent nothing, and returns it if it ends like that. When the first byte of a
/// message arrives, the permit is spent.
#[derive(Debug)]
struct Total {
    permits: Arc<Semaphore>,
    unspent: AtomicUsize,
}

/// Counts of connections that did not become producers, and of sources.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// The peer was not admitted.
    pub(crate) rejected: u64,
    /// Closed because of a shortage of descriptors.
    pub(crate) shed: u64,
    /// Closed because its user had too many connections.
    pub(crate) over_limit: u64,
    /// Closed with nothing read from it.
    pub(crate) unread: u64,
    /// Sources that ended by themselves, or whose queue of connections could not be emptied.
    pub(crate) failed_sources: u64,
}

/// Why a connection is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Its user has the maximum number of connections.
    UserLimit,
    /// The total number of producers has been reached.
    Full,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let permits = |number: usize| number.clamp(1, Semaphore::MAX_PERMITS);
        let total = limits.admissions.map(|number| {
            let number = permits(usize::try_from(number).unwrap_or(usize::MAX));
            Total { permits: Arc::new(Semaphore::new(number)), unspent: AtomicUsize::new(number) }
        });
        Arc::new(Self {
            slots: Arc::new(Semaphore::new(permits(limits.connections))),
            total,
            per_uid: limits.per_uid.max(1),
            users: Mutex::default(),
            full: CancellationToken::new(),
            counts: Mutex::default(),
        })
    }

    /// Waits until one more connection is allowed. `uid` is the user of a peer that has connected to us.
    ///
    /// Cancel safe: a dropped future holds nothing.
    pub(crate) async fn pass(self: &Arc<Self>, uid: Option<u32>) -> Result<Pass, Denied> {
        // First, so that connections of one user do not delay those of others.
        let user = uid.map(|uid| self.claim(uid)).transpose()?;
        // Before the slot: the holder of a slot must not wait, so that every slot is released.
        let permit = match &self.total {
            Some(total) => Some(Arc::clone(&total.permits).acquire_owned().await.map_err(|_| Denied::Full)?),
            None => None,
        };
        let slot = Arc::clone(&self.slots).acquire_owned().await.expect("this semaphore is never closed");
        Ok(Pass { admission: Arc::clone(self), permit, _slot: slot, _user: user })
    }

    fn claim(self: &Arc<Self>, uid: u32) -> Result<User, Denied> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = users.entry(uid).or_default();
        if *connections >= self.per_uid {
            return Err(Denied::UserLimit);
        }
        *connections += 1;
        Ok(User { admission: Arc::clone(self), uid })
    }

    /// Waits until no further connection will be admitted: the total number of producers have sent something.
    pub(crate) async fn full(&self) {
        self.full.cancelled().await;
    }

    fn spent(&self) {
        let Some(total) = &self.total else { return };
        if total.unspent.fetch_sub(1, Ordering::AcqRel) == 1 {
            total.permits.close();
            self.full.cancel();
        }
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Adds the counts of a listener that has ended.
    pub(crate) fn count_listener(&self, stats: &AcceptStats) {
        self.count(|counts| {
            counts.rejected += stats.rejected;
            counts.shed += stats.shed;
        });
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to be a producer: a slot, and a permit if the total is limited. Dropping it releases the slot, and also
/// the permit unless that was [spent](Self::spend).
#[derive(Debug)]
pub(crate) struct Pass {
    admission: Arc<Admission>,
    permit: Option<OwnedSemaphorePermit>,
    _slot: OwnedSemaphorePermit,
    _user: Option<User>,
}

impl Pass {
    /// Records that the connection has sent something.
    pub(crate) fn spend(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.forget();
            self.admission.spent();
        }
    }
}

/// One connection in its user's count.
#[derive(Debug)]
struct User {
    admission: Arc<Admission>,
    uid: u32,
}

impl Drop for User {
    fn drop(&mut self) {
        let mut users = self.admission.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = users.get_mut(&self.uid) {
            *connections -= 1;
            // A user without connections occupies no memory.
            if *connections == 0 {
                users.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn admission(change: impl FnOnce(&mut Limits)) -> Arc<Admission> {
        let mut limits = Limits::default();
        change(&mut limits);
        Admission::new(&limits)
    }

    /// A pass, if one is available now.
    fn now(admission: &Arc<Admission>, uid: Option<u32>) -> Option<Result<Pass, Denied>> {
        admission.pass(uid).now_or_never()
    }

    #[test]
    fn an_admission_comes_back_unless_it_was_spent() {
        let admission = admission(|limits| limits.admissions = Some(2));
        for _ in 0..10 {
            drop(now(&admission, None).unwrap().unwrap());
        }
        let mut first = now(&admission, None).unwrap().unwrap();
        let second = now(&admission, None).unwrap().unwrap();
        assert!(now(&admission, None).is_none(), "both are held");
        first.spend();
        first.spend();
        drop(first);
        assert!(now(&admission, None).is_none(), "one is spent, and the other is held");
        assert!(admission.full().now_or_never().is_none());
        drop(second);
        let mut third = now(&admission, None).unwrap().unwrap();
        third.spend();
        assert!(admission.full().now_or_never().is_some());
        assert_eq!(now(&admission, None).unwrap().unwrap_err(), Denied::Full);
    }

    #[tokio::test]
    async fn those_who_wait_are_denied_when_the_last_admission_is_spent() {
        let admission = admission(|limits| limits.admissions = Some(1));
        let mut first = now(&admission, None).unwrap().unwrap();
        let waiting = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.pass(None).await.map(drop) }
        });
        tokio::task::yield_now().await;
        first.spend();
        assert_eq!(waiting.await.unwrap(), Err(Denied::Full));
    }

    #[test]
    fn a_user_at_its_limit_is_denied_and_others_are_not() {
        let admission = admission(|limits| limits.per_uid = 2);
        let first = now(&admission, Some(7)).unwrap().unwrap();
        let _second = now(&admission, Some(7)).unwrap().unwrap();
        assert_eq!(now(&admission, Some(7)).unwrap().unwrap_err(), Denied::UserLimit);
        let _other = now(&admission, Some(8)).unwrap().unwrap();
        // A socket that we connect to does not count for any user.
        let _socket = now(&admission, None).unwrap().unwrap();
        drop(first);
        drop(now(&admission, Some(7)).unwrap().unwrap());
        drop(_second);
        assert_eq!(admission.users.lock().unwrap().len(), 1, "users without connections are forgotten");
    }

    #[test]
    fn slots_come_back_and_zero_is_one() {
        let admission = admission(|limits| (limits.connections, limits.per_uid, limits.admissions) = (0, 0, Some(0)));
        let pass = now(&admission, Some(7)).unwrap().unwrap();
        assert!(now(&admission, None).is_none());
        drop(pass);
        assert!(now(&admission, Some(7)).unwrap().is_ok());
    }
}
