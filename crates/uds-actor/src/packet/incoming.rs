//! The receiving side of a packet actor.

use std::{
    cell::Cell,
    io,
    task::{Context, Poll},
};

use frame_codec::BatchBuilder;

use uds_socket::packet::{Received, Semantics, Socket};

use super::{
    budget::{BUDGET, Budget},
    turned_away::TurnedAwayLog,
};
use crate::{driver::Moved, reason::Reason};

/// The receiving state.
pub(super) struct Incoming {
    max_packet: usize,
    /// The limit of one batch in bytes; one packet may exceed it.
    batch_bytes: usize,
    pub(super) ended: bool,
    /// An error that the kernel reported before the end. It reports errors ahead of packets that are still queued.
    pub(super) failure: Option<io::Error>,
    /// A count that grows with every sign of life of the peer.
    pub(super) stirrings: u64,
}

impl Incoming {
    pub(super) fn new(max_packet: usize, inbox_bytes: usize) -> Self {
        let batch_bytes = inbox_bytes.clamp(1, BUDGET);
        Self { max_packet, batch_bytes, ended: false, failure: None, stirrings: 0 }
    }

    /// Receives into the batch, as much as possible. An error is a packet after which the connection cannot continue.
    pub(super) fn fill<S: Socket>(
        &mut self,
        socket: &S,
        turned_away: &TurnedAwayLog,
        cx: &mut Context<'_>,
        batch: &mut BatchBuilder,
    ) -> Result<Moved, Reason> {
        let mut room = Room::borrow(self.max_packet);
        let room = &mut *room.0;
        let mut budget = Budget::default();
        while batch.memory_len() < self.batch_bytes {
            let Poll::Ready(outcome) = socket.poll_recv(cx, room) else { return Ok(Moved::All) };
            self.stirrings += 1;
            let mut len = 0;
            match outcome {
                Ok(Received::Packet(packet)) => {
                    len = packet;
                    batch.push(room.get(..len).expect("a packet lies in the room it was received into"));
                }
                Ok(Received::Oversized(len)) => {
                    turned_away.note(|turned_away| turned_away.note_oversized(len));
                    if S::SEMANTICS == Semantics::Connection {
                        let max = self.max_packet;
                        return Err(Reason::Malformed(frame_codec::DecodeError::FrameTooLarge {
                            len: len as u64,
                            max,
                        }));
                    }
                }
                Ok(Received::Uninvited(peer)) => turned_away.note(|turned_away| turned_away.note_uninvited(peer)),
                Ok(Received::End) => {
                    self.ended = true;
                    return Ok(Moved::All);
                }
                Err(error) if self.failure.is_none() => self.failure = Some(error),
                Err(_) => {
                    self.ended = true;
                    return Ok(Moved::All);
                }
            }
            budget.spend(len);
            if budget.is_spent() {
                break;
            }
        }
        Ok(Moved::Spent)
    }
}

/// The buffer in which packets are received before they are copied into their batch: one for each thread, as large as
/// the largest that any socket of the thread has asked for. Batches use only as much memory as has arrived.
struct Room(Vec<u8>);

thread_local! {
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Room {
    fn borrow(len: usize) -> Self {
        let room = ROOM.take();
        // We allocate a new buffer instead of growing the old one: zeroed memory is provided only when it is first
        // used.
        Self(if room.len() < len { vec![0; len] } else { room })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        ROOM.set(std::mem::take(&mut self.0));
    }
}
