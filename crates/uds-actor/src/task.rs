//! The life of an actor: one task that owns a socket until both directions have ended.
//!
//! It is one future without a stack of awaits. Each poll does whatever the socket, the outbox and the inbox allow, and
//! everything half done is in fields. A [`Driver`] moves bytes or packets. Requests, deadlines, silence, keep-alives
//! and the report are the same for all sockets, and are here.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Sleep, sleep},
};

use crate::{
    driver::{Driver, Ends, Moved},
    outlet::Outlet as _,
    payload::Payload,
    quiet::{Farewell, Quiet, Stall},
    reason::Reason,
    report::Ending,
    requests::{Request, Requests},
    settings::{KeepAlive, Settings},
};

/// ```text
///             ┌─ sending ──  outbox ─▶ driver ─▶ socket ──▶ closed by finish, close, a failed write
///   running ──┤
///             └─ receiving ─ socket ─▶ driver ─▶ inbox ───▶ ended by the peer, a reset, bad data, a dropped receiver
///
///   both ended, bad data, a reset, abort, a deadline  ──▶ the socket is closed, the ending told
/// ```
pub(crate) struct Task<D: Driver> {
    driver: D,
    ends: Ends<D::Queue>,
    requests: Arc<Requests>,
    /// How long a connection without handles may write what is queued.
    linger: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Whether to end as soon as the kernel holds nothing more to read.
    draining: bool,
    /// Whether a drain ended it after everything that had arrived was read.
    drained: bool,
    farewell: Farewell,
    idle: Option<Quiet>,
    stall: Option<Stall>,
    /// How often it was polled while it did not read from the peer.
    deaf: u64,
    keep_alive: Option<KeepAlive>,
    // Dropped last, because the report is delivered only after the socket is closed.
    notice: EndNotice<D::Queue>,
}

/// Delivers the ending when it is dropped.
struct EndNotice<Q> {
    ends: Ends<Q>,
    told: watch::Sender<Option<Arc<Ending>>>,
    ending: Option<Arc<Ending>>,
}

impl<Q> Drop for EndNotice<Q> {
    fn drop(&mut self) {
        self.told.send_replace(self.ending.take());
        self.ends.inbox.end();
    }
}

impl<D: Driver> Task<D> {
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    pub(crate) fn new(
        driver: D,
        ends: &Ends<D::Queue>,
        requests: &Arc<Requests>,
        mut settings: Settings,
        told: watch::Sender<Option<Arc<Ending>>>,
    ) -> Self {
        Self {
            driver,
            ends: ends.clone(),
            requests: Arc::clone(requests),
            linger: settings.linger,
            deadline: None,
            draining: false,
            drained: false,
            farewell: Farewell::default(),
            idle: settings.idle(),
            stall: settings.stall(),
            deaf: 0,
            keep_alive: settings.keep_alive(),
            notice: EndNotice { ends: ends.clone(), told, ending: None },
        }
    }

    pub(crate) async fn run(mut self) {
        let reason = poll_fn(|cx| self.poll_end(cx)).await;
        self.tell(reason);
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Reason> {
        if let Some(reason) = self.take_request(cx) {
            return Poll::Ready(reason);
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Reason::at_deadline(self.ends.inbox.is_full() || self.driver.is_full()));
        }
        self.keep_alive(cx);
        let moved = match self.driver.poll_move(cx, &self.ends) {
            Ok(moved) => moved,
            Err(reason) => return Poll::Ready(reason),
        };
        // Also for a peer that floods us and accepts nothing.
        if let Some(stall) = &mut self.stall
            && stall.poll(cx, self.driver.stalled_at())
        {
            // The kernel reports room only when three quarters of its buffer are free.
            if !self.driver.write_unannounced() {
                return Poll::Ready(Reason::Stalled);
            }
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if moved == Moved::Spent {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // Checked only now, after everything that was there has been read, so that a delay of this task does not count
        // as silence of the peer. A peer that we do not read from is not silent either.
        if moved == Moved::Deaf || self.driver.is_full() {
            self.deaf += 1;
        }
        if let Some(idle) = &mut self.idle
            && !self.driver.is_read_ended()
            && idle.poll(cx, self.driver.heard().wrapping_add(self.deaf))
        {
            return Poll::Ready(Reason::Idle);
        }
        self.poll_both_ended(cx, moved)
    }

    /// Whether both directions have nothing more to do.
    fn poll_both_ended(&mut self, cx: &mut Context<'_>, moved: Moved) -> Poll<Reason> {
        let ends_when_read = self.draining || self.driver.ends_when_read();
        let drained = ends_when_read && moved == Moved::All && !self.driver.has_unread();
        let listens = !self.driver.is_read_ended() && !self.ends.inbox.is_receiver_gone();
        if !listens && !self.driver.is_write_closed() && self.farewell.poll(cx, || self.driver.is_hung_up()) {
            self.driver.give_up_writing(&self.ends);
        }
        if self.driver.is_write_closed() && (drained || !listens) {
            self.drained = drained;
            return Poll::Ready(self.driver.take_failure().unwrap_or(Reason::Closed));
        }
        self.driver.rest(cx, &self.ends);
        Poll::Pending
    }

    /// Applies a pending request; `Some(reason)` means that the task must end now.
    fn take_request(&mut self, cx: &Context<'_>) -> Option<Reason> {
        match self.requests.take(cx)? {
            Request::Abort => return Some(Reason::Aborted),
            Request::Overflow => return Some(Reason::Overflow),
            Request::Close(within) => self.end_within(within, !D::HAS_END),
            Request::Drain(within) => self.end_within(within, true),
            Request::Abandon if self.deadline.is_none() => {
                self.ends.outbox.finish();
                self.deadline = Some(Box::pin(sleep(self.linger)));
            }
            // A handle had set a deadline before the last one was dropped.
            Request::Abandon => {}
        }
        None
    }

    fn end_within(&mut self, time: Duration, draining: bool) {
        self.ends.outbox.finish();
        self.draining = draining;
        self.driver.close_intake();
        self.deadline = Some(Box::pin(sleep(time)));
    }

    /// Queues the application's keep-alive message if nothing else has been sent for a while.
    fn keep_alive(&mut self, cx: &mut Context<'_>) {
        if let Some(KeepAlive { quiet, frame }) = &mut self.keep_alive
            && quiet.poll(cx, self.ends.outbox.mark())
        {
            // If the message cannot be sent, or comes too late, that is no reason to end the connection.
            let _ = self.ends.outbox.push_own(Payload::shared(&frame()));
        }
    }
}

impl<D: Driver> Task<D> {
    /// Closes both queues, so that the outcome of everything is known.
    fn tell(&mut self, reason: Reason) {
        self.notice.ending = Some(Arc::new(self.driver.end(&self.ends, reason, self.drained)));
    }
}

impl<D: Driver> Drop for Task<D> {
    fn drop(&mut self) {
        // A runtime that shuts down drops its tasks at any point. Handles that wait for the report still get one.
        if self.notice.ending.is_none() {
            self.tell(Reason::Aborted);
        }
    }
}
