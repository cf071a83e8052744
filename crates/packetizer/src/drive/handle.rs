//! What callers hold: a handle to make calls with.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use tokio::sync::oneshot;

use super::{pending::Pending, shared::Shared};
use crate::{
    options::Options,
    protocol::{Call, Protocol},
    report::Report,
};

impl<P: Protocol> Shared<P> {
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
            // If the driver was woken and has not run yet, it need not be woken again. The owner of calls without a
            // connection is always woken: it may wait for the first one before it connects.
            let before = (mux.has_transmit(), mux.poll_timeout());
            let outcome = mux.request_with(call, options, waiter);
            if last && outcome.is_ok() {
                mux.finish();
            }
            let changed = !mux.is_open() || before != (mux.has_transmit(), mux.poll_timeout());
            (outcome, last || changed)
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
