//! The queue of frames of a stream, as bytes.
//!
//! While the actor has nothing to write, senders may write in two cases:
//!
//! The sender of a *lone* message writes it, which saves waking the actor. It may do so only with the *token*: the
//! actor puts the token down when it parks with nothing to write, a sender takes it, and the actor puts it down again
//! only after it has been idle again. "The queue is empty" would not be enough: in a loop of sends it always is, and
//! each message would cost a system call.
//!
//! The sender that fills a *block* writes it. The block is still in that processor's cache, and memory stays at one
//! block as long as the kernel accepts the data.

use std::{io::IoSlice, sync::Arc};

use frame_codec::{Batch, EncodeError, Encoder, Framing, Limits, Written};

use crate::{
    outbox::{Direct, Outbox, Queue},
    payload::{Besides, Payload},
    quiet::LITTLE,
    write_shared::WriteShared,
};

/// The number of slices in one vectored write by a sender.
const SLICES: usize = 32;

/// The size of a block in bytes: large enough that the system call hardly matters, and within the nearest caches. In
/// loom's models, two short lines are a block.
pub(crate) const BLOCK: usize = if cfg!(all(test, loom_check)) { 6 } else { 128 << 10 };

/// The budget of senders in bytes: after writing this much, one of them yields to the other tasks of its thread. In
/// loom's models, each block exceeds it.
const SENDER_BUDGET: usize = if cfg!(all(test, loom_check)) { BLOCK } else { 4 * BLOCK };

/// Both halves and a frame that goes alone are given back in one batch, which is shorter than 4 GiB.
const LARGEST_HALF: usize = 1 << 30;

/// There are two encoders: senders fill this one while the actor writes the other.
pub(crate) struct Frames<F> {
    filling: Encoder<F>,
    /// The limit of this encoder. The other one holds as much again.
    half: usize,
    /// Whether the actor has nothing to write, and the kernel accepted everything that senders have written since.
    open: bool,
    /// The token for a lone message.
    token: bool,
    /// How senders write, if the stream supports that.
    writer: Option<Arc<dyn WriteShared>>,
    /// Bytes written by senders since one of them last yielded.
    run: usize,
    /// Whether the actor knows of memory to release when the connection is idle.
    heavy: bool,
}

/// What never reached the actor.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) frames: Batch,
    /// Bytes that are missing from a frame that its sender has partly written.
    pub(crate) truncated: usize,
    /// What senders have written.
    pub(crate) written: Written,
}

impl<F: Framing> Frames<F> {
    /// A queue with room for `bytes` in both encoders together.
    pub(crate) fn new(framing: F, limits: Limits, bytes: usize, writer: Option<Arc<dyn WriteShared>>) -> Self {
        Self {
            filling: Encoder::new(framing, limits),
            half: (bytes / 2).min(LARGEST_HALF),
            open: false,
            token: false,
            writer,
            run: 0,
            heavy: false,
        }
    }

    /// Appends a payload that is not only bytes to copy.
    #[inline(never)]
    fn push_with(&mut self, payload: &[u8], besides: Besides<'_>, mark: u64) -> Result<(), EncodeError> {
        match besides {
            Besides::Shared(bytes) if bytes.len() >= Encoder::<F>::SHARE_FROM => {
                self.filling.push_shared(bytes.clone())
            }
            Besides::Shared(_) => self.filling.push(payload),
            Besides::Attached(attachment) => self.filling.push(payload).map(|()| attachment.begin_at(mark)),
        }
    }
}

impl<F: Framing> Queue for Frames<F> {
    type Hand = Encoder<F>;
    type Unsent = Unsent;
    const ROOM_WHEN_TAKEN: bool = true;

    #[inline]
    fn has_room(&self, payload: Payload<'_>) -> bool {
        let before = self.filling.pending_bytes();
        // A frame larger than the whole limit goes alone.
        (before == 0 || before + payload.bytes.len() <= self.half)
            && payload.besides.is_none_or(|besides| besides.has_room())
    }

    #[inline(always)]
    fn push(&mut self, payload: Payload<'_>, mark: u64) -> Result<u64, EncodeError> {
        let before = self.filling.pending_bytes();
        match payload.besides {
            None => self.filling.push(payload.bytes)?,
            Some(besides) => self.push_with(payload.bytes, besides, mark)?,
        }
        Ok((self.filling.pending_bytes() - before) as u64)
    }

    fn take(&mut self, drained: &mut Encoder<F>) -> bool {
        debug_assert!(!drained.has_pending(), "the actor takes more when it has written what it took");
        let is_any = self.filling.has_pending();
        if is_any {
            std::mem::swap(&mut self.filling, drained);
            (self.open, self.token) = (false, false);
        }
        is_any
    }

    fn rest(&mut self, _: &mut Encoder<F>) {
        (self.open, self.token) = (true, true);
    }

    fn close(&mut self) {
        // The writer holds the descriptor.
        self.writer = None;
    }

    fn unsent(&mut self) -> Unsent {
        let written = self.filling.written();
        let (frames, truncated) = self.filling.take_unsent();
        Unsent { frames, truncated, written }
    }

    #[inline]
    fn is_due(&self) -> bool {
        self.open && (self.token || self.filling.pending_bytes() >= BLOCK)
    }

    fn write(&mut self) -> Direct {
        self.token = false;
        let mut count = 0;
        if let Some(writer) = &self.writer {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = self.filling.io_slices(&mut slices);
            count = writer.try_write_vectored(slices.get(..used).unwrap_or_default()).unwrap_or(0);
            self.filling.consume(count);
        }
        self.run += count;
        self.open = !self.filling.has_pending();
        // The actor releases memory when the connection is idle, so it must learn of memory that only senders have
        // used.
        let is_news = !self.heavy && self.filling.memory_len() > LITTLE;
        self.heavy |= is_news;
        Direct { written: count as u64, wakes_actor: !self.open || is_news }
    }

    #[inline]
    fn is_budget_spent(&self) -> bool {
        self.run >= SENDER_BUDGET
    }

    fn renew_budget(&mut self) {
        self.run = 0;
    }
}

impl<F: Framing> Outbox<Frames<F>> {
    /// The sum of the bytes ever pushed and ever written, and the memory of the senders' side.
    pub(crate) fn usage(&self) -> (u64, usize) {
        self.with_queue(|queue, moved| {
            let memory = queue.filling.memory_len();
            if memory <= LITTLE {
                queue.heavy = false;
            }
            (moved, memory)
        })
    }

    /// Releases unused memory.
    pub(crate) fn release(&self) {
        self.with_queue(|queue, _| {
            queue.filling.release();
            queue.heavy = false;
        });
    }
}
