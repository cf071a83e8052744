//! What a driver, its handles and their calls share.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use tokio::sync::{Notify, oneshot};

use crate::{
    mux::{Mux, Output, ReplyResult},
    protocol::Protocol,
};

/// Where an answer goes.
pub(super) type Answers<P> = oneshot::Sender<ReplyResult<P>>;

/// What a driver, its handles and their calls share. It outlives connections.
pub(super) struct Shared<P: Protocol> {
    mux: Mutex<Mux<P, Answers<P>>>,
    /// Wakes the driver: there is something to write, a new deadline, or the last handle is gone.
    pub(super) wake: Notify,
    /// No handle is left.
    pub(super) hung_up: AtomicBool,
    /// Services that wait for room.
    pub(super) room: Room,
}

/// The tasks that wait until another call may be made.
#[derive(Default)]
pub(super) struct Room {
    any: AtomicBool,
    tasks: Mutex<Vec<Waker>>,
}

impl Room {
    #[cfg_attr(not(feature = "tower"), expect(dead_code, reason = "only services wait for room"))]
    pub(super) fn wait(&self, waker: &Waker) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if !tasks.iter().any(|task| task.will_wake(waker)) {
            tasks.push(waker.clone());
        }
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn wake_all(&self) {
        if self.any.swap(false, Ordering::AcqRel) {
            let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
            tasks.into_iter().for_each(Waker::wake);
        }
    }
}

impl<P: Protocol> Shared<P> {
    pub(super) fn new(mux: Mux<P, Answers<P>>) -> Self {
        Self { mux: Mutex::new(mux), wake: Notify::new(), hung_up: AtomicBool::new(false), room: Room::default() }
    }

    /// A panic in a call's `encode` leaves the mux as it was before that call, so a poisoned lock is still good.
    pub(super) fn lock(&self) -> MutexGuard<'_, Mux<P, Answers<P>>> {
        self.mux.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands answers to their callers, outside the lock; returns an event to the caller of this function.
    pub(super) fn deliver(output: Output<P, Answers<P>>) -> Option<P::Event> {
        match output {
            Output::Event(event) => Some(event),
            Output::Answer { waiter, result } => {
                // A caller that has gone does not want its answer any more.
                drop(waiter.send(result));
                None
            }
        }
    }
}
