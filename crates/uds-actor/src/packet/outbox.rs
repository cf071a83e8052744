//! What senders hand over and the actor sends packet by packet: bounded in bytes.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use frame_codec::{Batch, Error};

use super::socket::Semantics;
use crate::{
    Overflow, Refusal,
    control::{Desk, Request},
    outlet::Outlet,
    payload::Payload,
    report::Count,
    sync::{Mutex, MutexGuard},
    waiters::{Parked, Ticket, Waiters},
};

/// What a queued packet costs besides its bytes: its place in the queue, and what the allocator adds.
const OVERHEAD: usize = 64;

/// A queue of packets.
pub(super) struct Outbox {
    state: Mutex<State>,
    bytes: usize,
    /// The largest packet that is taken.
    max_packet: usize,
    semantics: Semantics,
    overflow: Overflow,
    desk: Arc<Desk>,
}

struct State {
    queue: VecDeque<Bytes>,
    phase: Phase,
    senders: usize,
    /// What the packets cost that are queued, or taken by the actor and not settled.
    held: usize,
    /// Packets ever pushed, and how many of them are off our hands: handed to the kernel, or refused by it.
    pushed: u64,
    settled: u64,
    /// The actor, when it found nothing to send.
    actor: Parked,
    waiting: Waiters,
    refused: u64,
    dropped: u64,
}

/// ```text
///   Open ──finish, last sender dropped──▶ Finishing ──▶ Closed
///     └─────────send failed, actor ended─────────────────▲
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Finishing,
    Closed,
}

/// What the actor found in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Packets to send.
    Packets,
    /// Nothing; the actor is woken when there is something.
    Nothing,
    /// Nothing, and nothing more will come.
    Last,
}

/// What was left in the outbox at the end.
#[derive(Debug)]
pub(super) struct Leftovers {
    pub(super) unsent: Vec<Bytes>,
    pub(super) refused: u64,
    pub(super) dropped: u64,
}

impl Outbox {
    pub(super) fn new(
        bytes: usize,
        max_packet: usize,
        semantics: Semantics,
        overflow: Overflow,
        desk: Arc<Desk>,
    ) -> Self {
        let state = State {
            queue: VecDeque::new(),
            phase: Phase::Open,
            senders: 1,
            held: 0,
            pushed: 0,
            settled: 0,
            actor: Parked::default(),
            waiting: Waiters::default(),
            refused: 0,
            dropped: 0,
        };
        Self { state: Mutex::new(state), bytes, max_packet, semantics, overflow, desk }
    }

    /// Swaps the actor's empty queue for the one that was filled meanwhile.
    pub(super) fn take(&self, sent: &mut VecDeque<Bytes>, cx: &Context<'_>) -> Taken {
        debug_assert!(sent.is_empty(), "the actor takes more when it has sent what it took");
        let mut state = self.lock();
        if !state.queue.is_empty() {
            std::mem::swap(&mut state.queue, sent);
            return Taken::Packets;
        }
        if state.phase != Phase::Open {
            return Taken::Last;
        }
        state.actor.park(cx);
        // An idle connection keeps no memory for what it once had to send.
        state.queue = VecDeque::new();
        *sent = VecDeque::new();
        Taken::Nothing
    }

    /// Says that so much more is off our hands.
    pub(super) fn note_settled(&self, packets: Count) {
        if packets.frames == 0 {
            return;
        }
        let mut state = self.lock();
        state.settled += packets.frames;
        state.held -= packets.bytes as usize + packets.frames as usize * OVERHEAD;
        let waiting = state.waiting.take();
        drop(state);
        waiting.wake();
    }

    /// Queues a packet of the actor's own, room or not: it sends one at a time, and rarely.
    pub(super) fn push_own(&self, packet: Bytes) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(Refusal::Closed);
        }
        self.check(packet.len()).map_err(Refusal::Unsendable)?;
        state.push(packet);
        Ok(())
    }

    /// Takes nothing more, but keeps what is there: nobody is left to send it to, the rest is given back at the end.
    pub(super) fn refuse(&self) {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        let waiting = state.waiting.take();
        drop(state);
        waiting.wake();
    }

    /// Takes nothing more, and gives back what was never taken by the actor.
    pub(super) fn close(&self) -> Leftovers {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        let unsent = std::mem::take(&mut state.queue).into();
        let (refused, dropped) = (state.refused, state.dropped);
        let waiting = state.waiting.take();
        drop(state);
        waiting.wake();
        Leftovers { unsent, refused, dropped }
    }

    fn check(&self, len: usize) -> Result<(), Error> {
        match len {
            0 if self.semantics == Semantics::Connection => Err(Error::EmptyPayload),
            len if len > self.max_packet => Err(Error::PayloadTooLarge { len, max: self.max_packet }),
            _ => Ok(()),
        }
    }

    fn push(&self, state: &mut State, payload: Payload<'_>) -> Result<Option<Waker>, Refusal> {
        if state.phase != Phase::Open {
            return Err(Refusal::Closed);
        }
        let len = payload.bytes.len();
        self.check(len).map_err(|error| {
            state.refused += 1;
            Refusal::Unsendable(error)
        })?;
        // A packet larger than the whole bound goes alone.
        if state.held > 0 && state.held + len + OVERHEAD > self.bytes {
            return Err(Refusal::Full);
        }
        state.push(payload.to_bytes());
        Ok(state.actor.take())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock leaves the state half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, packet: Bytes) {
        self.held += packet.len() + OVERHEAD;
        self.pushed += 1;
        self.queue.push_back(packet);
    }
}

impl Outlet for Outbox {
    fn poll_push(&self, cx: &Context<'_>, ticket: &mut Ticket, payload: Payload<'_>) -> Poll<Result<(), Refusal>> {
        let mut state = self.lock();
        match self.push(&mut state, payload) {
            Ok(actor) => {
                drop(state);
                wake(actor);
                Poll::Ready(Ok(()))
            }
            Err(Refusal::Full) => match self.overflow {
                Overflow::Wait => {
                    state.waiting.register(ticket, cx);
                    Poll::Pending
                }
                Overflow::Disconnect => {
                    state.phase = Phase::Closed;
                    drop(state);
                    self.desk.ask(Request::Overflow);
                    Poll::Ready(Err(Refusal::Closed))
                }
                Overflow::DropNewest => {
                    state.dropped += 1;
                    Poll::Ready(Ok(()))
                }
            },
            Err(refusal) => Poll::Ready(Err(refusal)),
        }
    }

    fn try_push(&self, payload: Payload<'_>) -> Result<(), Refusal> {
        let mut state = self.lock();
        let actor = self.push(&mut state, payload)?;
        drop(state);
        wake(actor);
        Ok(())
    }

    fn mark(&self) -> u64 {
        self.lock().pushed
    }

    fn poll_written(&self, cx: &Context<'_>, ticket: &mut Ticket, mark: u64) -> Poll<Result<(), Refusal>> {
        let mut state = self.lock();
        if state.settled >= mark {
            return Poll::Ready(Ok(()));
        }
        if state.phase == Phase::Closed {
            return Poll::Ready(Err(Refusal::Closed));
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

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("held", &self.lock().held).finish_non_exhaustive()
    }
}

/// The packets of a queue as one batch.
pub(super) fn batch(packets: impl IntoIterator<Item = Bytes>) -> Batch {
    Batch::concat(packets.into_iter().map(Batch::single))
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
