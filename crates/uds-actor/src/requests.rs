//! Where the handles leave requests for the actor.

use std::{
    sync::{Arc, PoisonError},
    task::Context,
    time::Duration,
};

use crate::{
    sync::{Mutex, MutexGuard},
    waiters::Parked,
};

/// Holds the request that the actor has not taken yet, and wakes the actor.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    request: Option<Request>,
    actor: Parked,
}

/// What an actor may be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// The last handle was dropped.
    Abandon,
    Drain(Duration),
    Close(Duration),
    /// A sender found the outbox full, which is not allowed.
    Overflow,
    Abort,
}

impl Request {
    /// A request is not replaced by one of a lower rank. Among requests of one rank the last one counts, as it does when the
    /// actor has already taken the one before.
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

    /// Has the actor check everything again, whatever it waits for.
    pub(crate) fn ring(&self) {
        let actor = self.lock().actor.take();
        if let Some(actor) = actor {
            actor.wake();
        }
    }

    /// Takes the request made since the last call, and has later ones wake the actor.
    pub(crate) fn take(&self, cx: &Context<'_>) -> Option<Request> {
        let mut state = self.lock();
        state.actor.park(cx);
        state.request.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock leaves the state half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All handles share one. When the last of them is dropped, the actor is told.
#[derive(Debug)]
pub(crate) struct Handles(pub(crate) Arc<Requests>);

impl Drop for Handles {
    fn drop(&mut self) {
        self.0.ask(Request::Abandon);
    }
}
