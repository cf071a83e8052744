//! What senders hand over and the actor writes: bounded in bytes, one short lock per message.
//!
//! A lone message is written by its sender, which saves a turn of the actor. Only who holds the *token* may: the actor
//! lays it down when it parks with nothing to write, a sender takes it, and it is not laid down again before the actor has
//! been idle again. "The queue is empty" would not do: in a loop of sends it always is, and each message would be a system
//! call of its own.

use std::{
    fmt,
    io::IoSlice,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use frame_codec::{Batch, Encoder, Framing, Limits, Written};

use crate::{
    control::{Desk, Request},
    fds::Attachment,
    sync::{Mutex, MutexGuard},
    transport::WriteShared,
    waiters::{Parked, Ticket, Waiters},
};

/// The senders' side of an outbox, whatever its framing.
pub(crate) trait Outlet: Send + Sync + fmt::Debug {
    /// Queues a frame if there is room; otherwise `Pending`, and the task is woken when there may be.
    fn poll_push(&self, cx: &Context<'_>, ticket: &mut Ticket, payload: Payload<'_>) -> Poll<Result<(), Refusal>>;

    /// Queues a frame now or not at all.
    fn try_push(&self, payload: Payload<'_>) -> Result<(), Refusal>;

    /// Where the queue ends now, to wait for with [`poll_written`](Self::poll_written).
    fn mark(&self) -> u64;

    /// Whether everything up to `mark` is handed to the kernel; an error if it never will be.
    fn poll_written(&self, cx: &Context<'_>, ticket: &mut Ticket, mark: u64) -> Poll<Result<(), Refusal>>;

    /// Nobody waits with this ticket any longer.
    fn forget(&self, ticket: &Ticket);

    /// Takes no more frames; what is queued is still written, then our direction is closed.
    fn finish(&self);

    fn add_sender(&self);

    fn drop_sender(&self);
}

/// A payload, lent or given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Payload<'a> {
    Lent(&'a [u8]),
    Shared(&'a Bytes),
    /// Lent, with descriptors that travel with its first byte.
    Attached(&'a [u8], &'a Attachment<'a>),
}

/// Why a frame was not queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The outbox has no room now.
    #[error("the outbox is full")]
    Full,
    /// The actor takes nothing more: it was told to finish or close, or the peer is gone.
    #[error("the connection is closed for sending")]
    Closed,
    /// The framing cannot carry this payload.
    #[error(transparent)]
    Unsendable(frame_codec::Error),
    /// No frame can carry so many descriptors.
    #[error("a frame carries at most {max} descriptors, not {count}")]
    TooManyDescriptors {
        /// How many were given.
        count: usize,
        /// The most there can be, `SCM_MAX_FD`.
        max: usize,
    },
}

impl Refusal {
    /// Whether the same frame may be accepted later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Full => true,
            Self::Closed | Self::Unsendable(_) | Self::TooManyDescriptors { .. } => false,
        }
    }
}

/// What [`Sender::send`](crate::Sender::send) does when the outbox is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// It waits until there is room.
    #[default]
    Wait,
    /// It ends the connection: a peer that cannot keep up is not worth the memory. The report says
    /// [`Reason::Overflow`](crate::Reason::Overflow).
    Disconnect,
    /// It drops this message, and succeeds; the report counts it as dropped.
    DropNewest,
}

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
    /// The token: there while the actor is idle and the stream can be written to by others.
    token: bool,
    writer: Option<Arc<dyn WriteShared>>,
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
                token: false,
                writer,
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
            let waiting = state.waiting.take();
            drop(state);
            waiting.wake();
            return Taken::Frames;
        }
        if state.phase == Phase::Open {
            state.actor.park(cx);
            state.filling.release();
            state.token = state.writer.is_some();
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

    fn push(&self, state: &mut State<F>, payload: Payload<'_>) -> Result<Option<Waker>, Refusal> {
        if state.phase != Phase::Open {
            return Err(Refusal::Closed);
        }
        let len = match payload {
            Payload::Lent(payload) | Payload::Attached(payload, _) => payload.len(),
            Payload::Shared(payload) => payload.len(),
        };
        let before = state.filling.pending_bytes();
        // A frame larger than the whole bound goes alone.
        if before > 0 && before + len > self.half {
            return Err(Refusal::Full);
        }
        if let Payload::Attached(_, attachment) = payload
            && !attachment.has_room()
        {
            return Err(Refusal::Full);
        }
        match payload {
            Payload::Lent(payload) | Payload::Attached(payload, _) => state.filling.push(payload),
            Payload::Shared(payload) => state.filling.push_shared(payload.clone()),
        }
        .map_err(|error| {
            state.refused += 1;
            Refusal::Unsendable(error)
        })?;
        if let Payload::Attached(_, attachment) = payload {
            attachment.begin_at(state.pushed);
        }
        state.pushed += (state.filling.pending_bytes() - before) as u64;
        if std::mem::take(&mut state.token) && state.write_directly() {
            return Ok(None);
        }
        Ok(state.actor.take())
    }
}

impl<F> State<F> {
    /// Writes what was just pushed, if the kernel takes all of it; the actor sees to the rest, and to any error.
    fn write_directly(&mut self) -> bool {
        let Some(writer) = &self.writer else { return false };
        let mut slices = [IoSlice::new(&[]); 4];
        let used = self.filling.io_slices(&mut slices);
        let Ok(count) = writer.try_write_vectored(slices.get(..used).unwrap_or_default()) else { return false };
        self.filling.consume(count);
        self.written += count as u64;
        !self.filling.has_pending()
    }
}

impl<F> Outbox<F> {
    fn lock(&self) -> MutexGuard<'_, State<F>> {
        // Nothing that runs under this lock leaves the state half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Framing + Send> Outlet for Outbox<F> {
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
