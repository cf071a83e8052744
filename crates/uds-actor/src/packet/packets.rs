//! The queue of packets.

use std::{collections::VecDeque, mem};

use bytes::Bytes;
use frame_codec::{Batch, EncodeError};

use crate::{count::Count, outbox::Queue, payload::Payload};
use uds_socket::packet::Semantics;

/// The cost of a queued packet besides its bytes: its slot in the queue, and the allocator's overhead.
const OVERHEAD: usize = 64;

/// A queue of packets, limited by their cost until they are sent.
pub(crate) struct Packets {
    queue: VecDeque<Bytes>,
    /// The cost of the packets that are queued, or taken by the actor and not settled.
    held: usize,
    /// The limit of that cost.
    bytes: usize,
    /// The largest packet that is accepted.
    max_packet: usize,
    semantics: Semantics,
}

impl Packets {
    pub(crate) const fn new(bytes: usize, max_packet: usize, semantics: Semantics) -> Self {
        Self { queue: VecDeque::new(), held: 0, bytes, max_packet, semantics }
    }

    /// Records that these packets are done: handed to the kernel, or rejected by it.
    pub(crate) fn settle(&mut self, packets: Count) {
        self.held -= packets.bytes as usize + packets.frames as usize * OVERHEAD;
    }

    fn check(&self, len: usize) -> Result<(), EncodeError> {
        match len {
            0 if self.semantics == Semantics::Connection => Err(EncodeError::EmptyPayload),
            len if len > self.max_packet => Err(EncodeError::PayloadTooLarge { len, max: self.max_packet }),
            _ => Ok(()),
        }
    }
}

impl Queue for Packets {
    type Hand = VecDeque<Bytes>;
    type Unsent = Vec<Bytes>;
    const ROOM_WHEN_TAKEN: bool = false;

    fn has_room(&self, payload: Payload<'_>) -> bool {
        let len = payload.bytes.len();
        // A packet larger than the whole limit goes alone. One that cannot be sent need not wait to fail.
        self.held == 0 || self.held + len + OVERHEAD <= self.bytes || self.check(len).is_err()
    }

    fn push(&mut self, payload: Payload<'_>, _: u64) -> Result<u64, EncodeError> {
        let len = payload.bytes.len();
        self.check(len)?;
        self.held += len + OVERHEAD;
        self.queue.push_back(payload.to_bytes());
        Ok(1)
    }

    fn take(&mut self, sent: &mut VecDeque<Bytes>) -> bool {
        debug_assert!(sent.is_empty(), "the actor takes more when it has sent what it took");
        let is_any = !self.queue.is_empty();
        if is_any {
            mem::swap(&mut self.queue, sent);
        }
        is_any
    }

    fn rest(&mut self, sent: &mut VecDeque<Bytes>) {
        // An idle connection keeps no memory for earlier packets.
        self.queue = VecDeque::new();
        *sent = VecDeque::new();
    }

    fn unsent(&mut self) -> Vec<Bytes> {
        mem::take(&mut self.queue).into()
    }
}

/// The packets of a queue as one batch.
pub(super) fn batch(packets: impl IntoIterator<Item = Bytes>) -> Batch {
    Batch::concat(packets.into_iter().map(Batch::single))
}
