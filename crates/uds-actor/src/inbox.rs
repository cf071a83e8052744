//! The queue between the actor and the receiver: bounded in bytes by credits that live as long as the memory.

use std::{
    collections::VecDeque,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use frame_codec::{Batch, Intake};

use crate::{
    count::Count,
    report::Arrived,
    sync::{Mutex, MutexGuard},
    waiters::Parked,
};

/// Slots that an empty queue keeps: enough for the credit of a flood, 2 KiB of memory.
const KEEP: usize = 32;

/// A queue of batches.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    bytes: usize,
    at_hand: AtHand,
}

/// What the receiver has taken and not returned yet, which is not delivered. Only the receiver writes it, for each
/// message, so it must not need a lock.
#[derive(Debug, Default)]
struct AtHand {
    frames: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Batch>,
    /// The memory of all batches that wait, or that were taken and still have live frames.
    held: usize,
    ended: bool,
    receiver: Parked,
    receiver_gone: bool,
    /// The actor's waker, when there was no room.
    actor: Parked,
    received: Count,
    delivered: Count,
    /// Frames over the limit that were left out.
    skipped: u64,
    /// Frames that are the beginning of longer ones.
    shortened: u64,
}

impl Inbox {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                held: 0,
                ended: false,
                receiver: Parked::default(),
                receiver_gone: false,
                actor: Parked::default(),
                received: Count::default(),
                delivered: Count::default(),
                skipped: 0,
                shortened: 0,
            }),
            // Without a single byte of room, nothing would ever be read, not even the end.
            bytes: bytes.max(1),
            at_hand: AtHand::default(),
        }
    }

    /// Whether the actor may read. If not, it is woken when memory is released.
    pub(crate) fn intake(&self, cx: &Context<'_>) -> Intake {
        let mut state = self.lock();
        if state.receiver_gone {
            return Intake::Paused;
        }
        if state.held < self.bytes {
            return Intake::Open;
        }
        state.actor.park(cx);
        Intake::Paused
    }

    /// Queues a batch. This one batch may exceed the limit, which is why the actor asks before it reads.
    pub(crate) fn push(self: &Arc<Self>, batch: Batch) {
        let bytes = batch.memory_len();
        let mut state = self.lock();
        state.received += Count::of(&batch);
        state.skipped += u64::from(batch.skipped());
        state.shortened += u64::from(batch.shortened());
        if state.receiver_gone {
            return;
        }
        state.held += bytes;
        state.queue.push_back(batch.holding(Credit { inbox: Arc::clone(self), bytes }));
        let receiver = state.receiver.take();
        drop(state);
        if let Some(receiver) = receiver {
            receiver.wake();
        }
    }

    /// Records that no batch will follow.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let receiver = state.receiver.take();
        drop(state);
        if let Some(receiver) = receiver {
            receiver.wake();
        }
    }

    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Batch>> {
        let mut state = self.lock();
        if let Some(batch) = state.queue.pop_front() {
            state.delivered += Count::of(&batch);
            if state.queue.is_empty() {
                // Many small batches may have been waiting for a slow receiver.
                state.queue.shrink_to(KEEP);
            }
            return Poll::Ready(Some(batch));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.receiver.park(cx);
        Poll::Pending
    }

    /// Counts messages as not delivered that were taken and could not be passed on.
    pub(crate) fn retract(&self, count: Count) {
        let mut state = self.lock();
        state.delivered = state.delivered - count;
    }

    /// Records how much of what was taken the receiver has not returned yet.
    #[inline]
    pub(crate) fn set_at_hand(&self, count: Count) {
        // A concurrent report may see either value; both were true at some moment.
        self.at_hand.frames.store(count.frames, Ordering::Relaxed);
        self.at_hand.bytes.store(count.bytes, Ordering::Relaxed);
    }

    /// Marks the receiver as dropped, and discards queued batches and what is still at hand.
    pub(crate) fn drop_receiver(&self, at_hand: Count) {
        let mut state = self.lock();
        state.receiver_gone = true;
        state.delivered = state.delivered - at_hand;
        self.set_at_hand(Count::default());
        let waiting = std::mem::take(&mut state.queue);
        drop(state);
        // Dropping their credits locks the inbox again.
        drop(waiting);
    }

    pub(crate) fn is_receiver_gone(&self) -> bool {
        self.lock().receiver_gone
    }

    /// Whether nothing can be read because the receiver has not taken what was read, or still keeps it.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.lock();
        !state.receiver_gone && state.held >= self.bytes
    }

    /// The outcome of the frames so far.
    pub(crate) fn counts(&self) -> Arrived {
        let state = self.lock();
        let State { received, skipped, shortened, receiver_gone, .. } = *state;
        let delivered = Count {
            frames: state.delivered.frames.saturating_sub(self.at_hand.frames.load(Ordering::Relaxed)),
            bytes: state.delivered.bytes.saturating_sub(self.at_hand.bytes.load(Ordering::Relaxed)),
        };
        drop(state);
        let lost = if receiver_gone { received - delivered } else { Count::default() };
        Arrived { received, delivered, lost, skipped, shortened }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under this lock leaves the state half changed, so a panic elsewhere is harmless.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Represents the memory of one batch. It is dropped with the batch's last frame.
#[derive(Debug)]
struct Credit {
    inbox: Arc<Inbox>,
    bytes: usize,
}

impl Drop for Credit {
    fn drop(&mut self) {
        let mut state = self.inbox.lock();
        state.held -= self.bytes;
        let actor = if state.held < self.inbox.bytes { state.actor.take() } else { None };
        drop(state);
        if let Some(actor) = actor {
            actor.wake();
        }
    }
}
