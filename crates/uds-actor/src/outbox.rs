//! What senders hand over and the actor writes: bounded in bytes, one short lock per message.
//!
//! While the actor has nothing in hand, senders may write themselves, in two cases:
//!
//! A *lone* message is written by its sender, which saves a turn of the actor. Only who holds the *token* may: the actor
//! lays it down when it parks with nothing to write, a sender takes it, and it is not laid down again before the actor has
//! been idle again. "The queue is empty" would not do: in a loop of sends it always is, and each message would be a system
//! call of its own.
//!
//! A full *block* is written by the sender who filled it. It is still in that processor's cache, and memory stays at one
//! block as long as the kernel takes what comes.

use std::{
    fmt,
    io::IoSlice,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

use frame_codec::{Batch, Encoder, Framing, Limits, Written};

use crate::{
    Overflow, Refusal,
    control::{Desk, Request},
    outlet::Outlet,
    payload::{Besides, Payload},
    quiet::LITTLE,
    sync::{Mutex, MutexGuard},
    transport::WriteShared,
    waiters::{Parked, Ticket, Waiters, Woken},
};

/// Entries of one vectored write from the sender's side.
const SLICES: usize = 32;

/// So much is written by whoever completed it: enough that the system call does not count, and within the nearest caches.
/// In loom's models two short lines are a block.
pub(crate) const BLOCK: usize = if cfg!(all(test, loom_check)) { 6 } else { 128 << 10 };

/// After so many bytes that senders wrote themselves one of them gives the other tasks of its thread a turn. In loom's models
/// each block is one too many.
const TURN: usize = if cfg!(all(test, loom_check)) { BLOCK } else { 4 * BLOCK };

/// Both halves and a frame that goes alone come back in one batch, which is shorter than 4 GiB.
const LARGEST_HALF: usize = 1 << 30;

/// Two encoders take turns: senders fill one while the actor writes the other.
pub(crate) struct Outbox<F> {
    state: Mutex<State<F>>,
    /// The most that waits in the encoder that is being filled. Its twin holds as much again.
    half: usize,
    overflow: Overflow,
    desk: Arc<Desk>,
}

struct State<F> {
    filling: Encoder<F>,
    phase: Phase,
    senders: usize,
    /// Bytes ever pushed, and how many of them were handed to the kernel when the actor last said so.
    pushed: u64,
    written: u64,
    /// The actor, when it found nothing to write.
    actor: Parked,
    /// Whether the actor has nothing in hand, and the kernel took everything that senders have written since.
    open: bool,
    /// The token for a lone message.
    token: bool,
    /// How senders write, if the stream can be written to by others.
    writer: Option<Arc<dyn WriteShared>>,
    /// Bytes written by senders since one of them gave way.
    run: usize,
    /// Whether the actor knows of memory that it is to give back when the connection has come to rest.
    heavy: bool,
    waiting: Waiters,
    /// Frames that the framing cannot carry.
    refused: u64,
    /// Frames dropped because there was no room.
    dropped: u64,
}

/// What was left in the outbox at the end.
#[derive(Debug)]
pub(crate) struct Leftovers {
    pub(crate) unsent: Batch,
    pub(crate) written: Written,
    /// Bytes missing of a frame that its sender wrote in part.
    pub(crate) cut: usize,
    pub(crate) refused: u64,
    pub(crate) dropped: u64,
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
    /// Frames to write.
    Frames,
    /// Nothing; the actor is woken when there is something.
    Nothing,
    /// Nothing, and nothing more will come.
    Last,
}

impl<F: Framing> Outbox<F> {
    pub(crate) fn new(
        framing: F,
        limits: Limits,
        bytes: usize,
        overflow: Overflow,
        desk: Arc<Desk>,
        writer: Option<Arc<dyn WriteShared>>,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                filling: Encoder::new(framing, limits),
                phase: Phase::Open,
                senders: 1,
                pushed: 0,
                written: 0,
                actor: Parked::default(),
                open: false,
                token: false,
                writer,
                run: 0,
                heavy: false,
                waiting: Waiters::default(),
                refused: 0,
                dropped: 0,
            }),
            half: (bytes / 2).min(LARGEST_HALF),
            overflow,
            desk,
        }
    }

    /// Swaps the actor's drained encoder for the one that was filled meanwhile.
    pub(crate) fn take(&self, drained: &mut Encoder<F>, cx: &Context<'_>) -> Taken {
        debug_assert!(!drained.has_pending(), "the actor takes more when it has written what it took");
        let mut state = self.lock();
        if state.filling.has_pending() {
            std::mem::swap(&mut state.filling, drained);
            (state.open, state.token) = (false, false);
            let waiting = state.waiting.take();
            drop(state);
            waiting.wake();
            return Taken::Frames;
        }
        if state.phase == Phase::Open {
            state.actor.park(cx);
            (state.open, state.token) = (true, true);
            Taken::Nothing
        } else {
            Taken::Last
        }
    }

    /// Queues a frame of the actor's own, room or not: it sends one at a time, and rarely.
    pub(crate) fn push_own(&self, payload: &[u8]) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(Refusal::Closed);
        }
        let before = state.filling.pending_bytes();
        state.filling.push(payload).map_err(Refusal::Unsendable)?;
        state.pushed += (state.filling.pending_bytes() - before) as u64;
        Ok(())
    }

    /// Says that this many bytes more of what the actor took are handed to the kernel.
    pub(crate) fn note_written(&self, bytes: u64) {
        let mut state = self.lock();
        state.written += bytes;
        let waiting = state.waiting.take();
        drop(state);
        waiting.wake();
    }

    /// Takes nothing more, and gives back what was never taken by the actor.
    pub(crate) fn close(&self) -> Leftovers {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        // It holds the descriptor.
        state.writer = None;
        let written = state.filling.written();
        let (unsent, cut) = state.filling.take_unsent();
        let (refused, dropped) = (state.refused, state.dropped);
        let waiting = state.waiting.take();
        drop(state);
        waiting.wake();
        Leftovers { unsent, written, cut, refused, dropped }
    }

    /// Takes nothing more, but keeps what is there: the write side is gone, the rest is given back at the end.
    pub(crate) fn refuse(&self) {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        state.writer = None;
        let waiting = state.waiting.take();
        drop(state);
        waiting.wake();
    }

    /// The bytes ever pushed and the bytes ever written, added up, and the memory the senders' side takes.
    pub(crate) fn usage(&self) -> (u64, usize) {
        let mut state = self.lock();
        let memory = state.filling.memory_len();
        if memory <= LITTLE {
            state.heavy = false;
        }
        (state.pushed.wrapping_add(state.written), memory)
    }

    /// Gives back memory that nothing waits in.
    pub(crate) fn release(&self) {
        let mut state = self.lock();
        state.filling.release();
        state.heavy = false;
    }

    /// Whether there is room for a payload, and for what is attached to it.
    #[inline]
    fn has_room(&self, state: &State<F>, payload: Payload<'_>) -> bool {
        let before = state.filling.pending_bytes();
        // A frame larger than the whole bound goes alone.
        (before == 0 || before + payload.bytes.len() <= self.half)
            && payload.besides.is_none_or(|besides| match besides {
                Besides::Shared(_) => true,
                Besides::Attached(attachment) => attachment.has_room(),
            })
    }

    /// What becomes of a frame that cannot be queued now.
    #[cold]
    fn poll_wait(
        &self,
        mut state: MutexGuard<'_, State<F>>,
        cx: &Context<'_>,
        ticket: &mut Ticket,
    ) -> Poll<Result<(), Refusal>> {
        if state.phase != Phase::Open {
            return Poll::Ready(Err(Refusal::Closed));
        }
        if state.run >= TURN {
            state.run = 0;
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
                self.desk.ask(Request::Overflow);
                Poll::Ready(Err(Refusal::Closed))
            }
            Overflow::DropNewest => {
                state.dropped += 1;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Queues what there is room for, and sees to it that it is written: by us, or by the actor.
    #[inline]
    fn accept(mut state: MutexGuard<'_, State<F>>, payload: Payload<'_>) -> Result<(), Refusal> {
        let before = state.filling.pending_bytes();
        let pushed = match payload.besides {
            None => state.filling.push(payload.bytes),
            Some(besides) => state.push_with(payload.bytes, besides),
        };
        if let Err(error) = pushed {
            state.refused += 1;
            return Err(Refusal::Unsendable(error));
        }
        let pending = state.filling.pending_bytes();
        state.pushed += (pending - before) as u64;
        if state.open && (state.token || pending >= BLOCK) {
            write_directly(state);
        } else {
            let actor = state.actor.take();
            drop(state);
            wake(actor);
        }
        Ok(())
    }
}

impl<F: Framing> State<F> {
    #[inline(never)]
    fn push_with(&mut self, payload: &[u8], besides: Besides<'_>) -> Result<(), frame_codec::Error> {
        match besides {
            Besides::Shared(bytes) if bytes.len() >= Encoder::<F>::SHARE_FROM => {
                self.filling.push_shared(bytes.clone())
            }
            Besides::Shared(_) => self.filling.push(payload),
            Besides::Attached(attachment) => {
                let begin = self.pushed;
                self.filling.push(payload).map(|()| attachment.begin_at(begin))
            }
        }
    }
}

/// Writes what is queued from the sender's side; the actor sees to what the kernel does not take, and to any error.
#[inline(never)]
fn write_directly<F: Framing>(mut state: MutexGuard<'_, State<F>>) {
    state.token = false;
    let State { filling, writer, .. } = &mut *state;
    let mut count = 0;
    if let Some(writer) = writer {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let used = filling.io_slices(&mut slices);
        count = writer.try_write_vectored(slices.get(..used).unwrap_or_default()).unwrap_or(0);
        filling.consume(count);
    }
    state.written += count as u64;
    state.run += count;
    state.open = !state.filling.has_pending();
    // Memory that only senders have seen would never be given back: the actor notices rest in a turn of its own.
    let is_news = !state.heavy && state.filling.memory_len() > LITTLE;
    state.heavy |= is_news;
    let actor = if state.open && !is_news { None } else { state.actor.take() };
    // Those who wait for a flush.
    let waiting = if count > 0 { state.waiting.take() } else { Woken::default() };
    drop(state);
    waiting.wake();
    wake(actor);
}

impl<F> Outbox<F> {
    fn lock(&self) -> MutexGuard<'_, State<F>> {
        // Nothing that runs under this lock leaves the state half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Framing + Send> Outlet for Outbox<F> {
    fn poll_push(&self, cx: &Context<'_>, ticket: &mut Ticket, payload: Payload<'_>) -> Poll<Result<(), Refusal>> {
        let state = self.lock();
        if state.phase == Phase::Open && state.run < TURN && self.has_room(&state, payload) {
            return Poll::Ready(Self::accept(state, payload));
        }
        self.poll_wait(state, cx, ticket)
    }

    fn try_push(&self, payload: Payload<'_>) -> Result<(), Refusal> {
        let state = self.lock();
        if state.phase != Phase::Open {
            return Err(Refusal::Closed);
        }
        if !self.has_room(&state, payload) {
            return Err(Refusal::Full);
        }
        Self::accept(state, payload)
    }

    fn mark(&self) -> u64 {
        self.lock().pushed
    }

    fn poll_written(&self, cx: &Context<'_>, ticket: &mut Ticket, mark: u64) -> Poll<Result<(), Refusal>> {
        let mut state = self.lock();
        if state.written >= mark {
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

impl<F> fmt::Debug for Outbox<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("pending_bytes", &self.lock().filling.pending_bytes()).finish_non_exhaustive()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
