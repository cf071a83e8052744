//! Moving packets: one read is a frame, one write is a frame, and nothing is ever half done.

use std::{sync::Arc, task::Context};

use frame_codec::{BatchBuilder, Intake};
use uds_socket::packet::{Semantics, Socket};

use super::{
    incoming::Incoming,
    outgoing::Outgoing,
    packets::{self, Packets},
    turned_away::TurnedAwayLog,
};
use crate::{
    count::Count,
    driver::{Driver, Ends, Moved},
    reason::Reason,
    report::Ending,
};

/// Receives and sends packet by packet.
pub(super) struct PacketDriver<S> {
    socket: S,
    outgoing: Outgoing,
    incoming: Incoming,
    turned_away: Arc<TurnedAwayLog>,
}

impl<S: Socket> PacketDriver<S> {
    pub(super) fn new(socket: S, max_packet: usize, inbox_bytes: usize, turned_away: Arc<TurnedAwayLog>) -> Self {
        let incoming = Incoming::new(max_packet, inbox_bytes);
        Self { socket, outgoing: Outgoing::default(), incoming, turned_away }
    }

    /// Moves packets that have arrived to the inbox, as one batch.
    fn receive(&mut self, cx: &mut Context<'_>, ends: &Ends<Packets>) -> Result<Moved, Reason> {
        if self.incoming.ended {
            return Ok(Moved::All);
        }
        if ends.inbox.intake(cx) != Intake::Open {
            return Ok(Moved::Deaf);
        }
        let mut batch = BatchBuilder::default();
        let outcome = self.incoming.fill(&self.socket, &self.turned_away, cx, &mut batch);
        // Packets that were read into the process count as received, whatever ended the connection.
        if !batch.is_empty() {
            ends.inbox.push(batch.take());
        }
        if self.incoming.ended {
            ends.inbox.end();
            if self.incoming.failure.is_some() || self.socket.is_hung_up() {
                self.give_up_writing(ends);
            }
        }
        outcome
    }

    /// Hands queued packets to the kernel.
    ///
    /// When a datagram is sent to a peer that is gone, the kernel discards what that peer had sent us. So we first read
    /// what has arrived, if we are reading. We ask the kernel, because the runtime learns of it a little later.
    fn send(&mut self, cx: &mut Context<'_>, ends: &Ends<Packets>, received: Moved) -> Moved {
        let reads_first = S::SEMANTICS == Semantics::Datagrams && received == Moved::All && !self.incoming.ended;
        if reads_first && self.outgoing.refill(&self.socket, &ends.outbox, cx) && self.socket.has_unread() {
            return Moved::All;
        }
        let mut settled = Count::default();
        let moved = self.outgoing.hand_over(&self.socket, &ends.outbox, cx, &mut settled);
        if settled.frames > 0 {
            ends.outbox.note_written(settled.frames, |packets| packets.settle(settled));
        }
        moved
    }
}

impl<S: Socket> Driver for PacketDriver<S> {
    type Queue = Packets;
    /// Datagrams have no end to wait for.
    const HAS_END: bool = matches!(S::SEMANTICS, Semantics::Connection);

    fn poll_move(&mut self, cx: &mut Context<'_>, ends: &Ends<Packets>) -> Result<Moved, Reason> {
        let received = self.receive(cx, ends)?;
        let sent = self.send(cx, ends, received);
        Ok(if sent == Moved::Spent { sent } else { received })
    }

    fn heard(&self) -> u64 {
        self.incoming.stirrings
    }

    fn has_unread(&self) -> bool {
        self.socket.has_unread()
    }

    fn is_hung_up(&self) -> bool {
        self.socket.is_hung_up()
    }

    fn is_read_ended(&self) -> bool {
        self.incoming.ended
    }

    fn is_write_closed(&self) -> bool {
        self.outgoing.closed
    }

    /// Datagrams whose receiver is gone have no end to wait for.
    fn ends_when_read(&self) -> bool {
        self.outgoing.failure.is_some() && S::SEMANTICS == Semantics::Datagrams
    }

    fn close_intake(&mut self) {
        self.socket.close_intake();
    }

    fn give_up_writing(&mut self, ends: &Ends<Packets>) {
        let ends_senders_early = ends.outbox.refuse();
        // A reset is the more precise reason.
        if ends_senders_early && self.outgoing.failure.is_none() && self.incoming.failure.is_none() {
            self.outgoing.failure = Some(Reason::HungUp);
        }
        self.outgoing.closed = true;
    }

    fn take_failure(&mut self) -> Option<Reason> {
        let sending = self.outgoing.failure.take();
        sending.or_else(|| self.incoming.failure.take().map(Reason::failed))
    }

    fn end(&mut self, ends: &Ends<Packets>, reason: Reason, _: bool) -> Ending {
        let there = ends.outbox.close();
        Ending {
            reason,
            handed_to_kernel: self.outgoing.handed_to_kernel,
            unsent: packets::batch(self.outgoing.taken.drain(..).chain(there.unsent)),
            rejected: there.rejected + self.outgoing.rejected,
            dropped: there.dropped,
            truncated_sending: 0,
            truncated_receiving: 0,
            unterminated: false,
        }
    }
}
