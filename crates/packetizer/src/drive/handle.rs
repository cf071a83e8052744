//! What callers hold: a handle to make calls with, and a future for each call.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::sync::{Notify, oneshot};

use crate::{
    error::Error,
    mux::{Account, CallId, Mux},
    protocol::{Call, ErrorOf, Protocol},
};

/// Where an answer goes.
pub(super) type Answers<P> = oneshot::Sender<Result<<P as Protocol>::Reply, Error<ErrorOf<P>>>>;

/// What a driver, its handles and their calls have in common.
pub(super) struct Shared<P: Protocol> {
    mux: Mutex<Mux<P, Answers<P>>>,
    pub(super) wake: Notify,
    /// No handle is left.
    pub(super) hung_up: AtomicBool,
}

/// Whether a call is subject to the limits.
#[derive(Clone, Copy)]
pub(super) enum Room {
    Limited,
    Reserved,
}

impl<P: Protocol> Shared<P> {
    pub(super) fn new(mux: Mux<P, Answers<P>>) -> Self {
        Self { mux: Mutex::new(mux), wake: Notify::new(), hung_up: AtomicBool::new(false) }
    }

    /// A panic in somebody's `encode` leaves the mux as it was before that call, so a poisoned lock is still good.
    pub(super) fn lock(&self) -> MutexGuard<'_, Mux<P, Answers<P>>> {
        self.mux.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call in one of two ways, and lets no other follow if it is the last.
    pub(super) fn queue<C: Call<Protocol = P>>(
        shared: &Arc<Self>,
        call: &C,
        room: Room,
        last: bool,
    ) -> Pending<P, C::Reply> {
        let (waiter, answer) = oneshot::channel();
        let outcome = {
            let mut mux = shared.lock();
            let outcome = match room {
                Room::Limited => mux.request(call, waiter),
                Room::Reserved => mux.request_beyond_limits(call, waiter),
            };
            if last && outcome.is_ok() {
                mux.finish();
            }
            outcome
        };
        let state = match outcome {
            Ok(id) => {
                shared.wake.notify_one();
                State::Waiting { answer, id, shared: Arc::clone(shared) }
            }
            Err((error, _waiter)) => State::Refused(error),
        };
        Pending { state, reply: C::reply }
    }
}

/// Makes calls on a connection. Clones are cheap; when the last one is gone, the driver is told.
pub struct Handle<P: Protocol> {
    line: Arc<Line<P>>,
}

/// One for all clones of a handle: its end is the end of the last clone.
struct Line<P: Protocol> {
    shared: Arc<Shared<P>>,
}

impl<P: Protocol> Drop for Line<P> {
    fn drop(&mut self) {
        self.shared.hung_up.store(true, Ordering::Release);
        self.shared.wake.notify_one();
    }
}

impl<P: Protocol> Handle<P> {
    pub(super) fn new(shared: Arc<Shared<P>>) -> Self {
        Self { line: Arc::new(Line { shared }) }
    }

    /// Makes a call. The request is queued before this returns: the order of calls is the order of requests, whenever
    /// and wherever the futures are polled.
    pub fn call<C: Call<Protocol = P>>(&self, call: &C) -> Pending<P, C::Reply> {
        Shared::queue(&self.line.shared, call, Room::Limited, false)
    }

    /// Makes the last call: as [`call`](Self::call), and every call after it, on any handle, fails with
    /// [`Error::Finished`].
    pub fn call_last<C: Call<Protocol = P>>(&self, call: &C) -> Pending<P, C::Reply> {
        Shared::queue(&self.line.shared, call, Room::Limited, true)
    }

    /// Looks at the protocol's state.
    pub fn with_protocol<T>(&self, look: impl FnOnce(&P) -> T) -> T {
        look(self.line.shared.lock().protocol())
    }

    /// What became of the calls so far.
    pub fn account(&self) -> Account {
        self.line.shared.lock().account()
    }

    /// Calls that wait for their replies, cancelled ones included.
    pub fn waiting(&self) -> usize {
        self.line.shared.lock().waiting()
    }
}

impl<P: Protocol> Clone for Handle<P> {
    fn clone(&self) -> Self {
        Self { line: Arc::clone(&self.line) }
    }
}

impl<P: Protocol> fmt::Debug for Handle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&*self.line.shared.lock()).finish()
    }
}

/// A call that was made.
///
/// # Cancel safety
///
/// May be dropped at any time. The request goes out all the same — it was queued when the call was made —, its reply is
/// recognised when it comes and thrown away, and no other call notices.
#[must_use = "the request is on its way, but only awaiting it says what became of it"]
pub struct Pending<P: Protocol, R> {
    state: State<P>,
    reply: fn(P::Reply) -> R,
}

enum State<P: Protocol> {
    Refused(Error<ErrorOf<P>>),
    Waiting { answer: oneshot::Receiver<Result<P::Reply, Error<ErrorOf<P>>>>, id: CallId, shared: Arc<Shared<P>> },
    Done,
}

// Nothing in it is ever pinned in place.
impl<P: Protocol, R> Unpin for Pending<P, R> {}

impl<P: Protocol, R> Future for Pending<P, R> {
    type Output = Result<R, Error<ErrorOf<P>>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.state {
            State::Waiting { answer, .. } => match ready!(Pin::new(answer).poll(cx)) {
                Ok(result) => result,
                // A driver answers every call, at the latest when it is dropped; but reading this very reply made it panic.
                Err(_) => Err(Error::MaybeExecuted),
            },
            State::Refused(_) | State::Done => match std::mem::replace(&mut self.state, State::Done) {
                State::Refused(error) => Err(error),
                _ => panic!("a call was polled after its answer"),
            },
        };
        self.state = State::Done;
        Poll::Ready(result.map(self.reply))
    }
}

impl<P: Protocol, R> Drop for Pending<P, R> {
    fn drop(&mut self) {
        if let State::Waiting { id, shared, .. } = &self.state {
            let waiter = shared.lock().cancel(*id);
            drop(waiter); // outside of the lock
        }
    }
}

impl<P: Protocol, R> fmt::Debug for Pending<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Refused(_) => "Pending(refused)",
            State::Waiting { .. } => "Pending(waiting)",
            State::Done => "Pending(done)",
        })
    }
}
