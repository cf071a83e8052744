//! Requests from the handles to the actor.

use std::{
    sync::{Arc, PoisonError},
    task::Context,
    time::Duration,
};

use crate::{
    sync::{Mutex, MutexGuard},
    waiters::Parked,
};

/// Holds a pending request, and wakes the actor.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    request: Option<Request>,
    actor: Parked,
}

/// What a handle may request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// The last handle was dropped.
    Abandon,
    Drain(Duration),
    Close(Duration),
    /// A sender found the outbox full, and the settings do not allow that.
    Overflow,
    Abort,
}

impl Request {
    /// A request does not replace one of a higher rank. Among requests of one rank the last one counts, whether or not
    /// the actor has already taken the one before.
    const fn rank(self) -> u8 {
        match self {
            Self::Abandon => 0,
            Self::Drain(_) | Self::Close(_) => 1,
            Self::Overflow => 2,
            Self::Abort => 3,
        }
    }
}

impl Requests {
    pub(crate) fn ask(&self, request: Request) {
        let mut state = self.lock();
        if state.request.is_none_or(|asked| asked.rank() <= request.rank()) {
            state.request = Some(request);
        }
        drop(state);
        self.ring();
    }

    /// Makes the actor check everything again, whatever it waits for.
    pub(crate) fn ring(&self) {
        let actor = self.lock().actor.take();
        if let Some(actor) = actor {
            actor.wake();
        }
    }

    /// Takes the pending request, and lets later ones wake the actor.
    pub(crate) fn take(&self, cx: &Context<'_>) -> Option<Request> {
        let mut state = self.lock();
        state.actor.park(cx);
        state.request.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under this lock leaves the state half changed, so a panic elsewhere is harmless.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shared by all handles. Dropping the last one notifies the actor.
#[derive(Debug)]
pub(crate) struct Handles(pub(crate) Arc<Requests>);

impl Drop for Handles {
    fn drop(&mut self) {
        self.0.ask(Request::Abandon);
    }
}
