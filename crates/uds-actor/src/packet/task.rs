//! The task that owns a packet socket: one poll does whatever the socket, the outbox and the inbox allow, and everything
//! half done lives in its fields.

use std::{
    cell::Cell,
    collections::VecDeque,
    future::{Future as _, poll_fn},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use frame_codec::{BatchBuilder, Intake};
use rustix::io::Errno;
use tokio::time::{Sleep, sleep};

use super::{
    outbox::{self, Outbox, Taken},
    socket::{Received, Semantics, Socket},
};
use crate::{
    backoff::Backoff,
    control::{Desk, Request},
    inbox::Inbox,
    outbox::Outlet as _,
    quiet::Quiet,
    report::{Count, Ending, Reason},
    task::{KeepAlive, Verdict},
};

/// Bytes moved in one turn, in each direction, before other tasks get theirs and the desk is looked at again.
const BUDGET: usize = 256 << 10;

/// What each packet costs at least, however small: its system call.
const LEAST_COST: usize = 1 << 10;

/// The pauses after the kernel had no memory for a packet, which it does not tell the end of.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(100);

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
    pub(super) outbox: Arc<Outbox>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) desk: Arc<Desk>,
    /// How long a connection that nobody holds may take to send what is queued.
    pub(super) linger: Duration,
    pub(super) deadline: Option<Pin<Box<Sleep>>>,
    /// Whether to end as soon as the kernel holds nothing more to read.
    pub(super) draining: bool,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    pub(super) idle: Option<Quiet>,
    pub(super) keep_alive: Option<KeepAlive>,
    // Dropped last, and it matters: who has the report may rely on the socket being closed.
    pub(super) verdict: Verdict,
}

/// The sending side.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Taken from the outbox and not sent yet.
    taken: VecDeque<Bytes>,
    handed_to_kernel: Count,
    /// Packets that turned out too large although they were not when they were queued.
    refused: u64,
    closed: bool,
    /// Why it failed, for the report.
    failure: Option<Reason>,
    shortage: Option<Shortage>,
}

impl Outgoing {
    /// Whether there is a packet to send; if not, either the task is woken when there is, or there never will be.
    fn refill(&mut self, socket: &impl Socket, outbox: &Outbox, cx: &Context<'_>) -> bool {
        if self.closed || !self.taken.is_empty() {
            return !self.closed;
        }
        match outbox.take(&mut self.taken, cx) {
            Taken::Packets => true,
            Taken::Nothing => false,
            Taken::Last => {
                socket.finish();
                self.closed = true;
                false
            }
        }
    }
}

/// The kernel had no memory for a packet.
struct Shortage {
    backoff: Backoff,
    pause: Pin<Box<Sleep>>,
}

/// The receiving side.
pub(super) struct Incoming {
    max_packet: usize,
    /// The most that is read into one batch; one packet may go over.
    batch_bytes: usize,
    ended: bool,
    /// What the kernel said before the end. It says so ahead of the packets that are still queued.
    failure: Option<io::Error>,
    /// Grows with everything that is not silence of the peer.
    stirrings: u64,
}

impl Incoming {
    pub(super) fn new(max_packet: usize, inbox_bytes: usize) -> Self {
        let batch_bytes = inbox_bytes.clamp(1, BUDGET);
        Self { max_packet, batch_bytes, ended: false, failure: None, stirrings: 0 }
    }
}

/// How far one direction came in one turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
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
            return Poll::Ready(Reason::at_deadline(&self.inbox));
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
        let receiving = !drained && !self.incoming.ended && !self.inbox.is_receiver_gone();
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
            let _ = self.outbox.push_own(frame());
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
        let mut room = Room::borrow(self.incoming.max_packet);
        let mut batch = BatchBuilder::default();
        let outcome = self.fill(cx, &mut room.0, &mut batch);
        // Whatever ended it, packets that were read into the process are received.
        if !batch.is_empty() {
            self.inbox.push(batch.take());
        }
        if self.incoming.ended {
            self.inbox.end();
            if self.incoming.failure.is_some() || self.socket.is_hung_up() {
                // Nobody is left to read what we would send.
                self.outbox.refuse();
                self.outgoing.closed = true;
            }
        }
        outcome
    }

    fn fill(&mut self, cx: &mut Context<'_>, room: &mut [u8], batch: &mut BatchBuilder) -> Result<Turn, Reason> {
        let mut budget = BUDGET;
        while batch.memory_len() < self.incoming.batch_bytes {
            let Poll::Ready(outcome) = self.socket.poll_recv(cx, room) else { return Ok(Turn::Waiting) };
            self.incoming.stirrings += 1;
            let mut len = 0;
            match outcome {
                Ok(Received::Packet(packet)) => {
                    len = packet;
                    batch.push(room.get(..len).expect("a packet lies in the room it was received into"));
                }
                Ok(Received::Oversized(len)) => match S::SEMANTICS {
                    Semantics::Connection => {
                        let max = self.incoming.max_packet;
                        return Err(Reason::Malformed(frame_codec::Error::FrameTooLarge { len: len as u64, max }));
                    }
                    Semantics::Datagrams => self.desk.turn_away(|turned_away| turned_away.note_oversized(len)),
                },
                Ok(Received::Uninvited(peer)) => self.desk.turn_away(|turned_away| turned_away.note_uninvited(peer)),
                Ok(Received::End) => {
                    self.incoming.ended = true;
                    return Ok(Turn::Waiting);
                }
                Err(error) if self.incoming.failure.is_none() => self.incoming.failure = Some(error),
                Err(_) => {
                    self.incoming.ended = true;
                    return Ok(Turn::Waiting);
                }
            }
            budget = budget.saturating_sub(len.max(LEAST_COST));
            if budget == 0 {
                break;
            }
        }
        Ok(Turn::Spent)
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
        let (mut packets, mut bytes) = (0, 0);
        let turn = self.hand_over(cx, &mut packets, &mut bytes);
        self.outbox.note_settled(packets, bytes);
        turn
    }

    fn hand_over(&mut self, cx: &mut Context<'_>, packets: &mut usize, bytes: &mut usize) -> Turn {
        let Self { socket, outbox, outgoing, .. } = self;
        let mut budget = BUDGET;
        while budget > 0 {
            if let Some(shortage) = &mut outgoing.shortage
                && shortage.pause.as_mut().poll(cx).is_pending()
            {
                return Turn::Waiting;
            }
            let Some(packet) = outgoing.refill(socket, outbox, cx).then(|| outgoing.taken.front()).flatten() else {
                return Turn::Waiting;
            };
            let len = packet.len();
            match socket.poll_send(cx, packet) {
                Poll::Pending => return Turn::Waiting,
                Poll::Ready(Ok(())) => {
                    outgoing.handed_to_kernel += Count { frames: 1, bytes: len as u64 };
                    outgoing.shortage = None;
                }
                Poll::Ready(Err(error)) => match Errno::from_io_error(&error) {
                    // The send buffer has become smaller since the packet was queued.
                    Some(Errno::MSGSIZE) => outgoing.refused += 1,
                    Some(Errno::NOBUFS | Errno::NOMEM) => {
                        let mut backoff = outgoing
                            .shortage
                            .take()
                            .map_or_else(|| Backoff::new(FIRST_PAUSE, LAST_PAUSE), |s| s.backoff);
                        let pause = Box::pin(sleep(backoff.pause()));
                        outgoing.shortage = Some(Shortage { backoff, pause });
                        continue;
                    }
                    errno => {
                        outgoing.failure = Some(match (S::SEMANTICS, errno) {
                            (
                                Semantics::Datagrams,
                                Some(Errno::CONNREFUSED | Errno::NOTCONN | Errno::CONNRESET | Errno::PIPE),
                            ) => Reason::ReceiverGone,
                            _ => Reason::Failed(Arc::new(error)),
                        });
                        outbox.refuse();
                        outgoing.closed = true;
                        return Turn::Waiting;
                    }
                },
            }
            outgoing.taken.pop_front();
            *packets += 1;
            *bytes += len;
            budget = budget.saturating_sub(len.max(LEAST_COST));
        }
        Turn::Spent
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
            returned: outbox::batch(self.outgoing.taken.drain(..).chain(there.unsent)),
            refused: there.refused + self.outgoing.refused,
            dropped: there.dropped,
            cut_sending: 0,
            cut_receiving: 0,
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
