//! What moves messages between a socket and the two queues.

use std::{sync::Arc, task::Context};

use crate::{
    inbox::Inbox,
    outbox::{Outbox, Queue},
    reason::Reason,
    report::Ending,
};

/// The part of an actor that differs between streams and packet sockets. [`Task`](crate::task::Task) does the rest.
pub(crate) trait Driver: Send + 'static {
    /// What waits to be sent.
    type Queue: Queue + Send + 'static;

    /// Whether the peer can close its direction, so that an orderly close waits for that.
    const HAS_END: bool;

    /// Moves what the socket and the queues allow in both directions, up to a budget.
    ///
    /// # Errors
    ///
    /// The reason why the connection cannot go on.
    fn poll_move(&mut self, cx: &mut Context<'_>, ends: &Ends<Self::Queue>) -> Result<Moved, Reason>;

    /// A count that grows with everything that is not silence of the peer.
    fn heard(&self) -> u64;

    /// While something waits to be written, a count that grows with everything that the kernel takes.
    fn stalled_at(&mut self) -> Option<u64> {
        None
    }

    /// Writes what the kernel takes, although it has not announced that there is room. Returns whether anything has changed.
    fn write_unannounced(&mut self) -> bool {
        false
    }

    /// Whether nothing is read because our side has not taken what came beside the messages.
    fn is_full(&self) -> bool {
        false
    }

    /// Whether the kernel holds something to read at this moment.
    fn has_unread(&self) -> bool;

    /// Whether the peer has closed both directions.
    fn is_hung_up(&self) -> bool;

    /// Whether nothing more will be read.
    fn is_read_ended(&self) -> bool;

    /// Whether nothing more will be written.
    fn is_write_closed(&self) -> bool;

    /// Whether the connection ends as soon as the kernel holds nothing more to read, although no handle asked for that.
    fn ends_when_read(&self) -> bool;

    /// Has no more messages come in, where the socket can. What has arrived can still be received.
    fn close_intake(&mut self) {}

    /// Stops writing: the peer has closed both directions.
    fn give_up_writing(&mut self, ends: &Ends<Self::Queue>);

    /// Everything that could be moved was. A connection on which nothing moves for long gives memory back.
    fn rest(&mut self, cx: &mut Context<'_>, ends: &Ends<Self::Queue>) {
        let _ = (cx, ends);
    }

    /// Why a direction ended before its time, if one did.
    fn take_failure(&mut self) -> Option<Reason>;

    /// Closes both queues and reports what became of everything. `drained` says that everything that had arrived was read.
    fn end(&mut self, ends: &Ends<Self::Queue>, reason: Reason, drained: bool) -> Ending;
}

/// How far the driver came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// As far as the socket allows; the task is woken when it allows more.
    All,
    /// As far as the inbox has room, or the receiver is gone: the peer is not listened to.
    Deaf,
    /// As far as its budget. There may be more to do at once.
    Spent,
}

/// The queues at which the task and the handles meet.
pub(crate) struct Ends<Q> {
    pub(crate) outbox: Arc<Outbox<Q>>,
    pub(crate) inbox: Arc<Inbox>,
}

impl<Q> Clone for Ends<Q> {
    fn clone(&self) -> Self {
        Self { outbox: Arc::clone(&self.outbox), inbox: Arc::clone(&self.inbox) }
    }
}
