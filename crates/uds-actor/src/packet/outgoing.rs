//! The sending side of a packet actor.

use std::{
    collections::VecDeque,
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use rustix::io::Errno;
use tokio::time::{Sleep, sleep};
use uds_socket::{
    Backoff,
    packet::{Semantics, Socket},
};

use super::{budget::Budget, packets::Packets};
use crate::{
    count::Count,
    driver::Moved,
    outbox::{Outbox, Taken},
    reason::Reason,
};

/// The pauses after the kernel had no memory for a packet. It does not report when it has memory again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// The packets that are being sent.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Packets taken from the outbox and not sent yet.
    pub(super) taken: VecDeque<Bytes>,
    pub(super) handed_to_kernel: Count,
    /// Packets that were within the limit when they were queued, but too large when they were sent.
    pub(super) rejected: u64,
    pub(super) closed: bool,
    /// Why sending failed, for the report.
    pub(super) failure: Option<Reason>,
    shortage: Option<Shortage>,
}

impl Outgoing {
    /// Whether there is a packet to send. If not, the task will be woken when there is one, or there will never be one.
    pub(super) fn refill(&mut self, socket: &impl Socket, outbox: &Outbox<Packets>, cx: &Context<'_>) -> bool {
        if self.closed || !self.taken.is_empty() {
            return !self.closed;
        }
        match outbox.take(&mut self.taken, cx) {
            Taken::Messages => true,
            Taken::Nothing => false,
            Taken::Last => {
                socket.finish();
                self.closed = true;
                false
            }
        }
    }

    /// Hands packets to the kernel, as far as possible, and counts those that are done.
    pub(super) fn hand_over<S: Socket>(
        &mut self,
        socket: &S,
        outbox: &Outbox<Packets>,
        cx: &mut Context<'_>,
        settled: &mut Count,
    ) -> Moved {
        let mut budget = Budget::default();
        while !budget.is_spent() {
            if let Some(shortage) = &mut self.shortage
                && shortage.pause.as_mut().poll(cx).is_pending()
            {
                return Moved::All;
            }
            let Some(packet) = self.refill(socket, outbox, cx).then(|| self.taken.front()).flatten() else {
                return Moved::All;
            };
            let len = packet.len();
            match socket.poll_send(cx, packet) {
                Poll::Pending => return Moved::All,
                Poll::Ready(Ok(())) => {
                    self.handed_to_kernel += Count { frames: 1, bytes: len as u64 };
                    self.shortage = None;
                }
                Poll::Ready(Err(error)) => match Errno::from_io_error(&error) {
                    // The send buffer was made smaller after the packet was queued.
                    Some(Errno::MSGSIZE) => self.rejected += 1,
                    Some(Errno::NOBUFS | Errno::NOMEM) => {
                        let mut backoff =
                            self.shortage.take().map_or_else(|| Backoff::new(FIRST_PAUSE, LAST_PAUSE), |s| s.backoff);
                        let pause = Box::pin(sleep(backoff.pause()));
                        self.shortage = Some(Shortage { backoff, pause });
                        continue;
                    }
                    errno => {
                        self.failure = Some(match (S::SEMANTICS, errno) {
                            (
                                Semantics::Datagrams,
                                Some(Errno::CONNREFUSED | Errno::NOTCONN | Errno::CONNRESET | Errno::PIPE),
                            ) => Reason::ReceiverGone,
                            _ => Reason::Failed(Arc::new(error)),
                        });
                        outbox.refuse();
                        self.closed = true;
                        return Moved::All;
                    }
                },
            }
            self.taken.pop_front();
            *settled += Count { frames: 1, bytes: len as u64 };
            budget.spend(len);
        }
        Moved::Spent
    }
}

/// The kernel had no memory for a packet.
struct Shortage {
    backoff: Backoff,
    pause: Pin<Box<Sleep>>,
}
