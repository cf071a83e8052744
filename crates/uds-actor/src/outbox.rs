//! The queue between senders and the actor: limited in bytes, with one short lock for each message.
//!
//! The contents are a [`Queue`]: the frames of a stream, or packets. Waiting for room or for a flush, the end, and the
//! counts are the same for both, and are here.

use std::{
    fmt,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::{
    error::{FlushError, SendError, TrySendError},
    outlet::{Outlet, Overflow},
    payload::Payload,
    requests::{Request, Requests},
    sync::{Mutex, MutexGuard},
    waiters::{Parked, Ticket, Waiters, Woken},
};

/// Messages in the order in which they are sent.
pub(crate) trait Queue {
    /// The actor's buffer for what it has taken and not written yet.
    type Hand;
    /// What is given back at the end.
    type Unsent;
    /// Whether room appears when the actor takes the queue, or only when that is written.
    const ROOM_WHEN_TAKEN: bool;

    /// Whether there is room for another message.
    fn has_room(&self, payload: Payload<'_>) -> bool;

    /// Appends a message, which begins at `mark`. Returns how far that moves the mark.
    fn push(&mut self, payload: Payload<'_>, mark: u64) -> Result<u64, frame_codec::EncodeError>;

    /// Swaps the actor's empty buffer for the queue, unless that is empty.
    fn take(&mut self, hand: &mut Self::Hand) -> bool;

    /// Called when the actor has written all that it took, and the queue is empty.
    fn rest(&mut self, hand: &mut Self::Hand);

    /// Called when no more messages will be appended.
    fn close(&mut self) {}

    /// Returns what the actor did not take.
    fn unsent(&mut self) -> Self::Unsent;

    /// Whether the sender that appended the last message must write the queue.
    fn is_due(&self) -> bool {
        false
    }

    /// Writes the queue, on the sender's side.
    fn write(&mut self) -> Direct {
        Direct::default()
    }

    /// Whether senders have used up their budget of bytes, so that one must yield to the other tasks of its thread.
    fn is_budget_spent(&self) -> bool {
        false
    }

    /// Called after a sender has yielded: starts a new budget.
    fn renew_budget(&mut self) {}
}

/// How much a sender wrote.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Direct {
    /// How far the mark of written data moves.
    pub(crate) written: u64,
    /// Whether there is something for the actor to do.
    pub(crate) wakes_actor: bool,
}

/// A queue with senders at one end and the actor at the other.
pub(crate) struct Outbox<Q> {
    state: Mutex<State<Q>>,
    overflow: Overflow,
    requests: Arc<Requests>,
}

struct State<Q> {
    queue: Q,
    phase: Phase,
    senders: usize,
    /// The end of the queue, counted from the beginning of the connection, in bytes or in packets; and how much of that
    /// is known to be written.
    pushed: u64,
    written: u64,
    /// The actor's waker, when it found nothing to write.
    actor: Parked,
    waiting: Waiters,
    /// Messages that the framing cannot carry.
    rejected: u64,
    /// Messages dropped for lack of room.
    dropped: u64,
}

/// ```text
///   Open ──finish, last sender dropped──▶ Finishing ──▶ Closed
///     └─────────write failed, actor ended────────────────▲
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Finishing,
    Closed,
}

/// What the actor found in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Messages to write.
    Messages,
    /// Nothing. The actor is woken when there are messages.
    Nothing,
    /// Nothing, and no more will come.
    Last,
}

/// The rest of the outbox at the end.
#[derive(Debug)]
pub(crate) struct Leftovers<T> {
    pub(crate) unsent: T,
    pub(crate) rejected: u64,
    pub(crate) dropped: u64,
}

impl<Q: Queue> Outbox<Q> {
    pub(crate) fn new(queue: Q, overflow: Overflow, requests: Arc<Requests>) -> Self {
        let state = State {
            queue,
            phase: Phase::Open,
            senders: 1,
            pushed: 0,
            written: 0,
            actor: Parked::default(),
            waiting: Waiters::default(),
            rejected: 0,
            dropped: 0,
        };
        Self { state: Mutex::new(state), overflow, requests }
    }

    /// Called when the actor has written all that it took: passes it what was queued in the meantime.
    pub(crate) fn take(&self, hand: &mut Q::Hand, cx: &Context<'_>) -> Taken {
        let mut state = self.lock();
        if state.queue.take(hand) {
            let waiting = if Q::ROOM_WHEN_TAKEN { state.waiting.take() } else { Woken::default() };
            drop(state);
            waiting.wake();
            return Taken::Messages;
        }
        if state.phase != Phase::Open {
            return Taken::Last;
        }
        state.actor.park(cx);
        state.queue.rest(hand);
        Taken::Nothing
    }

    /// Queues a message of the actor itself, even without room. It sends one at a time, and rarely.
    pub(crate) fn push_own(&self, payload: Payload<'_>) -> Result<(), SendError> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(SendError::Closed);
        }
        state.push(payload).map_err(SendError::Unsendable)
    }

    /// Records that this much more of what the actor took is written, and notifies the queue.
    pub(crate) fn note_written(&self, more: u64, tell: impl FnOnce(&mut Q)) {
        let mut state = self.lock();
        state.written += more;
        tell(&mut state.queue);
        let waiting = state.waiting.take();
        drop(state);
        waiting.wake();
    }

    /// Accepts no more messages but keeps the queue, which cannot be written any more; the report contains it.
    ///
    /// Returns whether this ended senders early: one of them could still send, or something queued is not written.
    pub(crate) fn refuse(&self) -> bool {
        let mut state = self.lock();
        let ends_senders_early = state.phase == Phase::Open || state.pushed != state.written;
        state.phase = Phase::Closed;
        state.queue.close();
        let waiting = state.waiting.take();
        drop(state);
        waiting.wake();
        ends_senders_early
    }

    /// Accepts no more messages, and returns what the actor never took.
    pub(crate) fn close(&self) -> Leftovers<Q::Unsent> {
        self.refuse();
        let mut state = self.lock();
        Leftovers { unsent: state.queue.unsent(), rejected: state.rejected, dropped: state.dropped }
    }

    /// Decides about a message that cannot be queued now.
    #[cold]
    fn poll_wait(
        &self,
        mut state: MutexGuard<'_, State<Q>>,
        cx: &Context<'_>,
        ticket: &mut Ticket,
    ) -> Poll<Result<(), Box<SendError>>> {
        if state.phase != Phase::Open {
            return Poll::Ready(Err(Box::new(SendError::Closed)));
        }
        if state.queue.is_budget_spent() {
            state.queue.renew_budget();
            drop(state);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.overflow {
            Overflow::Wait => {
                state.waiting.register(ticket, cx);
                Poll::Pending
            }
            Overflow::Disconnect => {
                state.phase = Phase::Closed;
                drop(state);
                self.requests.ask(Request::Overflow);
                Poll::Ready(Err(Box::new(SendError::Closed)))
            }
            Overflow::DropNewest => {
                state.dropped += 1;
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<Q: Queue> State<Q> {
    #[inline(always)]
    fn push(&mut self, payload: Payload<'_>) -> Result<(), frame_codec::EncodeError> {
        self.pushed += self.queue.push(payload, self.pushed)?;
        Ok(())
    }
}

/// Queues a message for which there is room. Either this sender writes it, or the actor.
#[inline(always)]
fn accept<Q: Queue>(mut state: MutexGuard<'_, State<Q>>, payload: Payload<'_>) -> Result<(), Box<SendError>> {
    if let Err(error) = state.push(payload) {
        state.rejected += 1;
        return Err(Box::new(SendError::Unsendable(error)));
    }
    if state.queue.is_due() {
        write(state);
    } else {
        let actor = state.actor.take();
        drop(state);
        wake(actor);
    }
    Ok(())
}

/// Writes on the sender's side. The actor writes what the kernel does not accept now, and reports any error.
#[inline(never)]
fn write<Q: Queue>(mut state: MutexGuard<'_, State<Q>>) {
    let Direct { written, wakes_actor } = state.queue.write();
    state.written += written;
    let actor = if wakes_actor { state.actor.take() } else { None };
    // Flushes are waiting for this.
    let waiting = if written > 0 { state.waiting.take() } else { Woken::default() };
    drop(state);
    waiting.wake();
    wake(actor);
}

impl<Q> Outbox<Q> {
    /// Gives access to the queue, together with the sum of the bytes or packets ever pushed and ever written.
    pub(crate) fn with_queue<R>(&self, read: impl FnOnce(&mut Q, u64) -> R) -> R {
        let mut state = self.lock();
        let moved = state.pushed.wrapping_add(state.written);
        read(&mut state.queue, moved)
    }

    fn lock(&self) -> MutexGuard<'_, State<Q>> {
        // No code under this lock leaves the state half changed, so a panic elsewhere is harmless.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q: Queue + Send> Outlet for Outbox<Q> {
    fn poll_push(
        &self,
        cx: &Context<'_>,
        ticket: &mut Ticket,
        payload: Payload<'_>,
    ) -> Poll<Result<(), Box<SendError>>> {
        let state = self.lock();
        if state.phase == Phase::Open && !state.queue.is_budget_spent() && state.queue.has_room(payload) {
            return Poll::Ready(accept(state, payload));
        }
        self.poll_wait(state, cx, ticket)
    }

    fn try_push(&self, payload: Payload<'_>) -> Result<(), Box<TrySendError>> {
        let state = self.lock();
        if state.phase != Phase::Open {
            return Err(Box::new(TrySendError::Closed));
        }
        if !state.queue.has_room(payload) {
            return Err(Box::new(TrySendError::Full));
        }
        accept(state, payload).map_err(|error| Box::new((*error).into()))
    }

    fn mark(&self) -> u64 {
        self.lock().pushed
    }

    fn poll_written(&self, cx: &Context<'_>, ticket: &mut Ticket, mark: u64) -> Poll<Result<(), FlushError>> {
        let mut state = self.lock();
        if state.written >= mark {
            return Poll::Ready(Ok(()));
        }
        if state.phase == Phase::Closed {
            return Poll::Ready(Err(FlushError));
        }
        state.waiting.register(ticket, cx);
        Poll::Pending
    }

    fn forget(&self, ticket: &Ticket) {
        let waker = self.lock().waiting.forget(ticket);
        drop(waker);
    }

    fn finish(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Finishing;
        }
        let (actor, waiting) = (state.actor.take(), state.waiting.take());
        drop(state);
        wake(actor);
        waiting.wake();
    }

    fn add_sender(&self) {
        self.lock().senders += 1;
    }

    fn drop_sender(&self) {
        let mut state = self.lock();
        state.senders -= 1;
        if state.senders == 0 {
            drop(state);
            self.finish();
        }
    }
}

impl<Q> fmt::Debug for Outbox<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Outbox").field("pushed", &state.pushed).field("written", &state.written).finish_non_exhaustive()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
