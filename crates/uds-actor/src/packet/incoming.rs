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

/// What comes from the kernel, and how far that has got.
pub(super) struct Incoming {
    max_packet: usize,
    /// The most that is read into one batch; one packet may go over.
    batch_bytes: usize,
    pub(super) ended: bool,
    /// What the kernel said before the end. It says so ahead of the packets that are still queued.
    pub(super) failure: Option<io::Error>,
    /// Grows with everything that is not silence of the peer.
    pub(super) stirrings: u64,
}

impl Incoming {
    pub(super) fn new(max_packet: usize, inbox_bytes: usize) -> Self {
        let batch_bytes = inbox_bytes.clamp(1, BUDGET);
        Self { max_packet, batch_bytes, ended: false, failure: None, stirrings: 0 }
    }

    /// Receives into the batch, as far as it goes; an error is a packet after which there is nothing to go on from.
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

/// Where packets are received before they are copied into their batch: one for each thread, as large as the largest that
/// any socket there asked for. Batches take the memory that arrived, and no more.
struct Room(Vec<u8>);

thread_local! {
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Room {
    fn borrow(len: usize) -> Self {
        let room = ROOM.take();
        // A new one instead of a longer one: memory that is asked for zeroed is there when it is first used.
        Self(if room.len() < len { vec![0; len] } else { room })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        ROOM.set(std::mem::take(&mut self.0));
    }
}
