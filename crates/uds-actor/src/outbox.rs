//! The queue between senders and the actor: bounded in bytes, one short lock for each message.
//!
//! What waits is a [`Queue`]: the frames of a stream, or packets. Waiting for room or for a flush, the end, and what is
//! counted are the same for both, and here.

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

/// Messages in the order in which they go out.
pub(crate) trait Queue {
    /// Where the actor keeps what it has taken and not written yet.
    type Hand;
    /// What is given back at the end.
    type Unsent;
    /// Whether there is room as soon as the actor has taken what waited, or only when that is written.
    const ROOM_WHEN_TAKEN: bool;

    /// Whether a message may be appended, as far as room is concerned.
    fn has_room(&self, payload: Payload<'_>) -> bool;

    /// Appends a message, which begins at `mark`. Answers how far that moves the mark.
    fn push(&mut self, payload: Payload<'_>, mark: u64) -> Result<u64, frame_codec::EncodeError>;

    /// Swaps the actor's empty buffer for what waits, if anything does.
    fn take(&mut self, hand: &mut Self::Hand) -> bool;

    /// The actor has written all it took, and found nothing more to take.
    fn rest(&mut self, hand: &mut Self::Hand);

    /// Nothing will be appended.
    fn close(&mut self) {}

    /// Gives back what was not taken by the actor.
    fn unsent(&mut self) -> Self::Unsent;

    /// Whether the sender that appended the last message writes what waits.
    fn is_due(&self) -> bool {
        false
    }

    /// Writes what waits, from the sender's side.
    fn write(&mut self) -> Direct {
        Direct::default()
    }

    /// Whether a sender has written so much that it yields to the other tasks of its thread.
    fn is_turn_over(&self) -> bool {
        false
    }

    /// It has yielded.
    fn begin_turn(&mut self) {}
}

/// How much a sender wrote itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Direct {
    /// How far the mark of what is written moves.
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
    /// Where the queue ends, counted from the beginning of the connection: in bytes or in packets. And how much of that is
    /// known to be written.
    pushed: u64,
    written: u64,
    /// The actor, when it found nothing to write.
    actor: Parked,
    waiting: Waiters,
    /// Messages that cannot be carried.
    rejected: u64,
    /// Messages dropped because there was no room.
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
    /// Something to write.
    Messages,
    /// Nothing; the actor is woken when there is something.
    Nothing,
    /// Nothing, and nothing more will come.
    Last,
}

/// What was left in the outbox at the end.
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

    /// Gives the actor, which has written all it took, what was queued meanwhile.
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

    /// Queues a message of the actor's own, room or not: it sends one at a time, and rarely.
    pub(crate) fn push_own(&self, payload: Payload<'_>) -> Result<(), SendError> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(SendError::Closed);
        }
        state.push(payload).map_err(SendError::Unsendable)
    }

    /// Says that so much more of what the actor took is written, and tells the queue.
    pub(crate) fn note_written(&self, more: u64, tell: impl FnOnce(&mut Q)) {
        let mut state = self.lock();
        state.written += more;
        tell(&mut state.queue);
        let waiting = state.waiting.take();
        drop(state);
        waiting.wake();
    }

    /// Takes nothing more, but keeps what is there: nothing more can be written, and the report gives the rest back.
    ///
    /// Returns whether it ended senders before their time: one of them could still send, or something queued is not written.
    pub(crate) fn refuse(&self) -> bool {
        let mut state = self.lock();
        let is_cut_short = state.phase == Phase::Open || state.pushed != state.written;
        state.phase = Phase::Closed;
        state.queue.close();
        let waiting = state.waiting.take();
        drop(state);
        waiting.wake();
        is_cut_short
    }

    /// Takes nothing more, and gives back what was never taken by the actor.
    pub(crate) fn close(&self) -> Leftovers<Q::Unsent> {
        self.refuse();
        let mut state = self.lock();
        Leftovers { unsent: state.queue.unsent(), rejected: state.rejected, dropped: state.dropped }
    }

    /// What becomes of a message that cannot be queued now.
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
        if state.queue.is_turn_over() {
            state.queue.begin_turn();
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

/// Queues a message that there is room for, and has it written: by this sender or by the actor.
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

/// Writes from the sender's side. The actor writes what the kernel does not take now, and meets any error.
#[inline(never)]
fn write<Q: Queue>(mut state: MutexGuard<'_, State<Q>>) {
    let Direct { written, wakes_actor } = state.queue.write();
    state.written += written;
    let actor = if wakes_actor { state.actor.take() } else { None };
    // Flushes wait for this.
    let waiting = if written > 0 { state.waiting.take() } else { Woken::default() };
    drop(state);
    waiting.wake();
    wake(actor);
}

impl<Q> Outbox<Q> {
    /// Lets the queue be looked at and changed, with the bytes or packets ever pushed and ever written, added up.
    pub(crate) fn with_queue<R>(&self, look: impl FnOnce(&mut Q, u64) -> R) -> R {
        let mut state = self.lock();
        let moved = state.pushed.wrapping_add(state.written);
        look(&mut state.queue, moved)
    }

    fn lock(&self) -> MutexGuard<'_, State<Q>> {
        // Nothing that runs under this lock leaves the state half changed, so a panic elsewhere does not spoil it.
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
        if state.phase == Phase::Open && !state.queue.is_turn_over() && state.queue.has_room(payload) {
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
