//! The task that owns a packet socket: one poll does whatever the socket, the outbox and the inbox allow, and everything
//! half done lives in its fields.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use frame_codec::{BatchBuilder, Intake};
use tokio::time::{Sleep, sleep};

use super::{
    Semantics, Socket,
    incoming::Incoming,
    outgoing::Outgoing,
    packets::{self, Packets},
};
use crate::{
    control::{Desk, Request},
    inbox::Inbox,
    outbox::Outbox,
    outlet::Outlet as _,
    payload::Payload,
    quiet::{Farewell, Quiet},
    report::{Count, Ending, Reason},
    task::{KeepAlive, Verdict},
};

/// Bytes moved in one turn, in each direction, before other tasks get theirs and the desk is looked at again.
pub(super) const BUDGET: usize = 256 << 10;

/// What each packet costs at least, however small: its system call.
pub(super) const LEAST_COST: usize = 1 << 10;

/// Owns a packet socket until both directions have ended.
///
/// ```text
///             ┌─ outgoing ─ outbox ─▶ socket ──▶ closed by finish, close, a failed send
///   running ──┤
///             └─ incoming ─ socket ─▶ inbox ───▶ ended by the peer's end, a reset, a dropped receiver
///
///   both ended, a packet over the limit (on a connection), abort, a deadline  ──▶ the socket is closed, the ending told
/// ```
pub(super) struct Task<S: Socket> {
    pub(super) socket: S,
    pub(super) outbox: Arc<Outbox<Packets>>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) desk: Arc<Desk>,
    /// How long a connection that nobody holds may take to send what is queued.
    pub(super) linger: Duration,
    pub(super) deadline: Option<Pin<Box<Sleep>>>,
    /// Whether to end as soon as the kernel holds nothing more to read.
    pub(super) draining: bool,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    pub(super) farewell: Farewell,
    pub(super) idle: Option<Quiet>,
    pub(super) keep_alive: Option<KeepAlive>,
    // Dropped last, and it matters: who has the report may rely on the socket being closed.
    pub(super) verdict: Verdict,
}

/// How far one direction came in one turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// As far as it goes; the task is woken when it goes on.
    Waiting,
    /// As far as the inbox has room, or nobody receives.
    Paused,
    /// As far as its budget.
    Spent,
}

impl<S: Socket> Task<S> {
    pub(super) async fn run(mut self) {
        let reason = poll_fn(|cx| self.poll_end(cx)).await;
        self.close_books(reason);
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Reason> {
        if let Some(reason) = self.hear(cx) {
            return Poll::Ready(reason);
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Reason::at_deadline(self.inbox.is_full()));
        }
        self.keep_alive(cx);
        let received = match self.receive(cx) {
            Ok(turn) => turn,
            Err(reason) => return Poll::Ready(reason),
        };
        let sent = self.send(cx, received);
        if received == Turn::Spent || sent == Turn::Spent {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // Looked at when all that was there has been read, so that a late turn of ours is not taken for silence; nor is a
        // peer silent whom we do not listen to.
        if received == Turn::Paused {
            self.incoming.stirrings += 1;
        }
        if let Some(idle) = &mut self.idle
            && !self.incoming.ended
            && idle.poll(cx, self.incoming.stirrings)
        {
            return Poll::Ready(Reason::Idle);
        }
        let has_read_all = received == Turn::Waiting && !self.socket.has_unread();
        let is_failed = self.outgoing.failure.is_some() && S::SEMANTICS == Semantics::Datagrams;
        let drained = (self.draining || is_failed) && has_read_all;
        let hears = !self.incoming.ended && !self.inbox.is_receiver_gone();
        if !hears && !self.outgoing.closed && self.farewell.poll(cx, || self.socket.is_hung_up()) {
            self.give_up_sending();
        }
        let receiving = !drained && hears;
        if self.outgoing.closed && !receiving {
            return Poll::Ready(self.reason());
        }
        Poll::Pending
    }

    /// Does what is asked; an answer is to end at once.
    fn hear(&mut self, cx: &Context<'_>) -> Option<Reason> {
        match self.desk.take(cx)? {
            Request::Abort => return Some(Reason::Aborted),
            Request::Overflow => return Some(Reason::Overflow),
            // Datagrams have no end to wait for.
            Request::Close(within) => self.end_within(within, S::SEMANTICS == Semantics::Datagrams),
            Request::Drain(within) => self.end_within(within, true),
            Request::Abandon if self.deadline.is_none() => {
                self.outbox.finish();
                self.deadline = Some(Box::pin(sleep(self.linger)));
            }
            // Whoever let go of the handles had said before how long it may take.
            Request::Abandon => {}
        }
        None
    }

    fn end_within(&mut self, time: Duration, draining: bool) {
        self.outbox.finish();
        self.draining = draining;
        self.socket.close_intake();
        self.deadline = Some(Box::pin(sleep(time)));
    }

    /// Queues the application's sign of life if nothing else has been sent for a while.
    fn keep_alive(&mut self, cx: &mut Context<'_>) {
        if let Some(KeepAlive { quiet, frame }) = &mut self.keep_alive
            && quiet.poll(cx, self.outbox.mark())
        {
            // One that cannot be sent, or that comes too late, is no reason to end a connection.
            let _ = self.outbox.push_own(Payload::shared(&frame()));
        }
    }

    /// Moves what has arrived to the inbox, as one batch.
    fn receive(&mut self, cx: &mut Context<'_>) -> Result<Turn, Reason> {
        if self.incoming.ended {
            return Ok(Turn::Waiting);
        }
        if self.inbox.intake(cx) != Intake::Open {
            return Ok(Turn::Paused);
        }
        let mut batch = BatchBuilder::default();
        let outcome = self.incoming.fill(&self.socket, &self.desk, cx, &mut batch);
        // Whatever ended it, packets that were read into the process are received.
        if !batch.is_empty() {
            self.inbox.push(batch.take());
        }
        if self.incoming.ended {
            self.inbox.end();
            if self.incoming.failure.is_some() || self.socket.is_hung_up() {
                self.give_up_sending();
            }
        }
        outcome
    }

    /// The peer has closed both directions, so nothing more can be sent.
    fn give_up_sending(&mut self) {
        let is_cut_short = self.outbox.refuse();
        // A reset says more than that.
        if is_cut_short && self.outgoing.failure.is_none() && self.incoming.failure.is_none() {
            self.outgoing.failure = Some(Reason::HungUp);
        }
        self.outgoing.closed = true;
    }

    /// Hands to the kernel what senders queued.
    ///
    /// When a datagram is sent to a peer that is gone, the kernel throws away what that had sent us. So what has arrived is
    /// read first, if we are reading; and since the runtime learns of it a little later, the kernel is asked.
    fn send(&mut self, cx: &mut Context<'_>, received: Turn) -> Turn {
        let reads_first = S::SEMANTICS == Semantics::Datagrams && received == Turn::Waiting && !self.incoming.ended;
        if reads_first && self.outgoing.refill(&self.socket, &self.outbox, cx) && self.socket.has_unread() {
            return Turn::Waiting;
        }
        let mut settled = Count::default();
        let turn = self.outgoing.hand_over(&self.socket, &self.outbox, cx, &mut settled);
        if settled.frames > 0 {
            self.outbox.note_written(settled.frames, |packets| packets.settle(settled));
        }
        turn
    }

    /// Why it ended when both directions have.
    fn reason(&mut self) -> Reason {
        let sending = self.outgoing.failure.take();
        let receiving = || self.incoming.failure.take().map(|error| Reason::Failed(Arc::new(error)));
        sending.or_else(receiving).unwrap_or(Reason::Closed)
    }
}

impl<S: Socket> Task<S> {
    /// Nothing is accepted any longer, and it is known what became of everything.
    fn close_books(&mut self, reason: Reason) {
        let there = self.outbox.close();
        let ending = Ending {
            reason,
            handed_to_kernel: self.outgoing.handed_to_kernel,
            unsent: packets::batch(self.outgoing.taken.drain(..).chain(there.unsent)),
            rejected: there.rejected + self.outgoing.rejected,
            dropped: there.dropped,
            truncated_sending: 0,
            truncated_receiving: 0,
            unterminated: false,
            descriptors: None,
        };
        self.verdict.ending = Some(Arc::new(ending));
    }
}

impl<S: Socket> Drop for Task<S> {
    fn drop(&mut self) {
        // A runtime that shuts down drops its tasks where they stand; those who wait for the report still get one.
        if self.verdict.ending.is_none() {
            self.close_books(Reason::Aborted);
        }
    }
}
