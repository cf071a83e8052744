//! What callers hold: a handle to make calls with.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use tokio::sync::{Notify, oneshot};

use super::pending::Pending;
use crate::{
    mux::{Mux, Output, ReplyResult},
    options::Options,
    protocol::{Call, Protocol},
    report::Report,
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

    /// Makes a call. If it is the last, later calls are rejected.
    pub(super) fn queue<C: Call<Protocol = P>>(
        shared: &Arc<Self>,
        call: &C,
        options: Options,
        last: bool,
    ) -> Pending<P, C::Reply> {
        let (waiter, answer) = oneshot::channel();
        let (outcome, wake) = {
            let mut mux = shared.lock();
            // If the driver was woken and has not run yet, it need not be woken again.
            let before = (mux.has_transmit(), mux.poll_timeout());
            let outcome = mux.request_with(call, options, waiter);
            if last && outcome.is_ok() {
                mux.finish();
            }
            (outcome, last || before != (mux.has_transmit(), mux.poll_timeout()))
        };
        match outcome {
            Ok(id) => {
                if wake {
                    shared.wake.notify_one();
                }
                Pending::waiting::<C>(answer, id, Arc::clone(shared))
            }
            Err((error, _waiter)) => Pending::rejected::<C>(error),
        }
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

/// Makes calls. Clones are cheap and share the connection; after the last one is dropped, the connection can end.
///
/// A handle outlives connections. Calls made while there is no connection wait for the next one, or fail, as the owner
/// of the [driver](crate::Driver::detach) decides.
pub struct Handle<P: Protocol> {
    held: Arc<Held<P>>,
}

struct Held<P: Protocol> {
    shared: Arc<Shared<P>>,
}

impl<P: Protocol> Drop for Held<P> {
    fn drop(&mut self) {
        self.shared.hung_up.store(true, Ordering::Release);
        self.shared.wake.notify_one();
    }
}

impl<P: Protocol> Handle<P> {
    pub(super) fn new(shared: Arc<Shared<P>>) -> Self {
        Self { held: Arc::new(Held { shared }) }
    }

    #[cfg(feature = "tower")]
    pub(super) fn shared(&self) -> &Arc<Shared<P>> {
        &self.held.shared
    }

    /// Makes a call. The request is queued before this returns, so requests go out in the order of the calls, whenever
    /// and wherever the futures are polled.
    pub fn call<C: Call<Protocol = P>>(&self, call: &C) -> Pending<P, C::Reply> {
        self.call_with(call, Options::new())
    }

    /// Like [`call`](Self::call), with a place in the order, a deadline, or beyond the limits.
    pub fn call_with<C: Call<Protocol = P>>(&self, call: &C, options: Options) -> Pending<P, C::Reply> {
        Shared::queue(&self.held.shared, call, options, false)
    }

    /// Makes the last call: like [`call`](Self::call), but every later call, on any handle, fails with
    /// [`Error::Finished`](crate::Error::Finished).
    pub fn call_last<C: Call<Protocol = P>>(&self, call: &C) -> Pending<P, C::Reply> {
        Shared::queue(&self.held.shared, call, Options::new(), true)
    }

    /// Reads the protocol's state.
    pub fn with_protocol<T>(&self, read: impl FnOnce(&P) -> T) -> T {
        read(self.held.shared.lock().protocol())
    }

    /// Changes the protocol's state. Keep `change` short: every caller and the driver wait for it.
    pub fn with_protocol_mut<T>(&self, change: impl FnOnce(&mut P) -> T) -> T {
        change(self.held.shared.lock().protocol_mut())
    }

    /// What has happened to the calls so far.
    pub fn report(&self) -> Report {
        self.held.shared.lock().report()
    }

    /// Pending calls, including cancelled ones.
    pub fn waiting(&self) -> usize {
        self.held.shared.lock().waiting()
    }
}

impl<P: Protocol> Clone for Handle<P> {
    fn clone(&self) -> Self {
        Self { held: Arc::clone(&self.held) }
    }
}

impl<P: Protocol> fmt::Debug for Handle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&*self.held.shared.lock()).finish()
    }
}
