//! The task that owns the socket.
//!
//! It is one future without a stack of awaits: each poll does whatever the socket, the outbox and the inbox allow, and
//! everything half done lives in its fields.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use frame_codec::{Batch, End, Framing, Intake, Pump, PumpEvent};
use tokio::{
    sync::watch,
    time::{Sleep, sleep},
};

use crate::{
    control::{Desk, Request},
    fds,
    inbox::Inbox,
    outbox::{Outbox, Taken, frames::Frames},
    payload::Payload,
    quiet::{Farewell, Quiet, Rest},
    report::{Count, Ending, Reason},
    transport::Transport,
};

/// Bytes moved in one go, in either direction, before other tasks get their turn and the desk is looked at again. One full
/// read: whoever takes its frames then finds them in the nearest cache, and the block is free again for the next.
const BUDGET: usize = 64 << 10;

/// What each move costs at least: a system call takes about as long as copying this many bytes.
const LEAST_COST: usize = 4 << 10;

/// Owns a transport until both directions have ended.
///
/// ```text
///             ┌─ sending ──  outbox ─▶ pump ─▶ socket ──▶ closed by finish, close, a failed write
///   running ──┤
///             └─ receiving ─ socket ─▶ pump ─▶ inbox ───▶ ended by EOF, reset, bad bytes, a dropped receiver
///
///   both ended, bad bytes, a reset, abort, a deadline  ──▶ the socket is closed, the ending told
/// ```
pub(crate) struct Task<T: Transport, F: Framing> {
    pub(crate) pump: Pump<T::Stream, F>,
    pub(crate) outbox: Arc<Outbox<Frames<F>>>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) desk: Arc<Desk>,
    /// How long a connection that nobody holds may take to write what is queued.
    pub(crate) linger: Duration,
    pub(crate) deadline: Option<Pin<Box<Sleep>>>,
    /// Whether to end as soon as the kernel holds nothing more to read.
    pub(crate) draining: bool,
    /// Whether a drain ended it when everything that had arrived was read.
    pub(crate) drained: bool,
    /// Bytes taken from the outbox and not said to be written yet, framing included.
    pub(crate) in_flight: u64,
    pub(crate) rest: Rest,
    pub(crate) farewell: Farewell,
    pub(crate) idle: Option<Quiet>,
    pub(crate) keep_alive: Option<KeepAlive>,
    /// Why the write side ended before the senders did, for the report if reading then ends in an orderly way.
    pub(crate) write_failed: Option<Reason>,
    // Dropped last, and it matters: who has the report may rely on the socket being closed.
    pub(crate) verdict: Verdict,
}

/// Tells the ending when it is dropped.
pub(crate) struct Verdict {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) told: watch::Sender<Option<Arc<Ending>>>,
    pub(crate) ending: Option<Arc<Ending>>,
}

impl Drop for Verdict {
    fn drop(&mut self) {
        self.told.send_replace(self.ending.take());
        self.inbox.end();
    }
}

/// What to send when nothing else has been sent for a while.
pub(crate) struct KeepAlive {
    pub(crate) quiet: Quiet,
    pub(crate) frame: Box<dyn Fn() -> Bytes + Send>,
}

impl<T: Transport, F: Framing + Send> Task<T, F> {
    pub(crate) async fn run(mut self) {
        let reason = poll_fn(|cx| self.poll_end(cx)).await;
        self.close_books(reason);
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Reason> {
        match self.desk.take(cx) {
            Some(Request::Abort) => return Poll::Ready(Reason::Aborted),
            Some(Request::Overflow) => return Poll::Ready(Reason::Overflow),
            Some(Request::Close(within)) => {
                self.draining = false;
                self.end_within(within);
            }
            Some(Request::Drain(within)) => {
                self.draining = true;
                self.end_within(within);
            }
            Some(Request::Abandon) if self.deadline.is_none() => self.end_within(self.linger),
            // Whoever let go of the handles had said before how long it may take.
            Some(Request::Abandon) | None => {}
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            let is_full = self.inbox.is_full() || T::is_full(self.pump.stream());
            return Poll::Ready(Reason::at_deadline(is_full));
        }
        self.keep_alive(cx);
        let mut budget = BUDGET;
        let intake = loop {
            if !self.pump.is_write_closed() && !self.pump.encoder().has_pending() {
                self.refill(cx);
            }
            let intake = if self.pump.is_read_ended() { Intake::Paused } else { self.inbox.intake(cx) };
            let mut cost = LEAST_COST;
            match self.pump.poll_next(cx, intake) {
                Poll::Ready(PumpEvent::Batch(batch)) => {
                    cost = cost.max(batch.memory_len());
                    if let Some(reason) = self.take_in(batch) {
                        return Poll::Ready(reason);
                    }
                }
                Poll::Ready(PumpEvent::Drained | PumpEvent::Finished) => cost = cost.max(self.note_written()),
                Poll::Ready(PumpEvent::WriteFailed(error)) => {
                    self.note_written();
                    self.outbox.refuse();
                    let reason = Reason::of(error);
                    // A peer that is not gone may never close; what it has said so far is still taken.
                    self.draining |= matches!(reason, Reason::Descriptors(_));
                    self.write_failed = Some(reason);
                }
                Poll::Ready(PumpEvent::End(end)) => match end {
                    End::Eof { .. } => {
                        self.inbox.end();
                        if T::is_hung_up(self.pump.stream()) {
                            self.give_up_writing();
                        }
                    }
                    End::Failed { error, .. } => return Poll::Ready(Reason::of(error)),
                    End::Malformed { error, .. } => return Poll::Ready(Reason::Malformed(error)),
                    _ => unreachable!("the ends of a stream are these"),
                },
                Poll::Ready(PumpEvent::Partial) => cost = BUDGET,
                Poll::Ready(_) => {}
                Poll::Pending => break intake,
            }
            budget = budget.saturating_sub(cost);
            if budget == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        };
        // Looked at when all that was there has been read, so that a late turn of ours is not taken for silence; nor
        // is a peer silent whom we do not listen to.
        if let Some(idle) = &mut self.idle
            && !self.pump.is_read_ended()
            && idle.poll(cx, self.pump.bytes_read())
            && intake == Intake::Open
            && !T::is_full(self.pump.stream())
        {
            return Poll::Ready(Reason::Idle);
        }
        let drained = self.draining && intake == Intake::Open && !T::has_unread(self.pump.stream());
        let hears = !self.pump.is_read_ended() && !self.inbox.is_receiver_gone();
        if !hears && !self.pump.is_write_closed() && self.farewell.poll(cx, || T::is_hung_up(self.pump.stream())) {
            self.give_up_writing();
        }
        let receiving = !drained && hears;
        if self.pump.is_write_closed() && !receiving {
            self.drained = drained;
            return Poll::Ready(self.write_failed.take().unwrap_or(Reason::Closed));
        }
        let (pushed, outbox_memory) = self.outbox.usage();
        let moved = self.pump.bytes_read().wrapping_add(pushed);
        if self.rest.poll(cx, moved, self.pump.memory_len() + outbox_memory) {
            self.pump.release();
            self.outbox.release();
        }
        Poll::Pending
    }

    /// Queues the application's sign of life if nothing else has been sent for a while.
    fn keep_alive(&mut self, cx: &mut Context<'_>) {
        use crate::outlet::Outlet as _;
        if let Some(KeepAlive { quiet, frame }) = &mut self.keep_alive
            && quiet.poll(cx, self.outbox.mark())
        {
            // One that the framing refuses, or that comes too late, is no reason to end a connection.
            let _ = self.outbox.push_own(Payload::lent(&frame()));
        }
    }

    /// Moves what senders queued to the pump, which has written all it had.
    fn refill(&mut self, cx: &Context<'_>) {
        if self.in_flight > 0 {
            // Not told yet, because there was something to read first. Who waits for it must not wait for what is taken now.
            self.note_written();
        }
        match self.outbox.take(self.pump.encoder(), cx) {
            Taken::Messages => self.in_flight = self.pump.encoder().pending_bytes() as u64,
            Taken::Nothing => {}
            Taken::Last => self.pump.finish(),
        }
    }

    fn end_within(&mut self, time: Duration) {
        use crate::outlet::Outlet as _;
        self.outbox.finish();
        self.deadline = Some(Box::pin(sleep(time)));
    }
}

impl<T: Transport, F: Framing> Task<T, F> {
    /// Tells those who wait for a flush how far writing has come. Answers by how many bytes it has come further.
    fn note_written(&mut self) -> usize {
        let pending = self.pump.encoder().pending_bytes() as u64;
        let written = std::mem::replace(&mut self.in_flight, pending) - pending;
        self.outbox.note_written(written, |_| ());
        usize::try_from(written).unwrap_or(usize::MAX)
    }

    /// The peer has closed both directions, so nothing more can be written; what is written is written.
    fn give_up_writing(&mut self) {
        self.note_written();
        if self.outbox.refuse() && self.write_failed.is_none() {
            self.write_failed = Some(Reason::HungUp);
        }
        self.pump.close_writing();
    }

    /// Gives frames to the receiver. Answers why there will be no more, if what the transport brought beside them does not
    /// fit them.
    fn take_in(&self, batch: Batch) -> Option<Reason> {
        let end = self.pump.bytes_read() - self.pump.truncated_len() as u64;
        let (batch, fault) = T::sort(self.pump.stream(), batch, end);
        if !batch.is_empty() || batch.skipped() > 0 {
            self.inbox.push(batch);
        }
        fault
    }

    /// Nothing is accepted any longer, and it is known what became of everything.
    fn close_books(&mut self, reason: Reason) {
        self.note_written();
        // Whatever ended it, frames that were read into the process are received.
        while let Some(batch) = self.pump.take_received() {
            self.take_in(batch);
        }
        // What is left after a drain is all that the peer has written: a last line may lack its terminator.
        while self.drained
            && let Some(batch) = self.pump.take_unterminated()
        {
            self.take_in(batch);
        }
        let (left_here, truncated_sending) = self.pump.encoder().take_unsent();
        let written_here = self.pump.encoder().written();
        let there = self.outbox.close();
        let unsent = Batch::concat([left_here, there.unsent.frames]);
        let (unsent, descriptors) = T::report(self.pump.stream(), unsent);
        let refused_here = descriptors.as_ref().map_or(0, fds::Report::rejected_bytes);
        let ending = Ending {
            reason,
            handed_to_kernel: Count {
                frames: written_here.frames + there.unsent.written.frames,
                bytes: written_here.bytes + there.unsent.written.bytes,
            },
            unsent,
            rejected: there.rejected,
            dropped: there.dropped,
            truncated_sending: truncated_sending + there.unsent.truncated,
            truncated_receiving: self.pump.truncated_len() + refused_here,
            unterminated: self.pump.is_unterminated(),
            descriptors,
        };
        self.verdict.ending = Some(Arc::new(ending));
    }
}

impl<T: Transport, F: Framing> Drop for Task<T, F> {
    fn drop(&mut self) {
        // A runtime that shuts down drops its tasks where they stand; those who wait for the report still get one.
        if self.verdict.ending.is_none() {
            self.close_books(Reason::Aborted);
        }
    }
}
