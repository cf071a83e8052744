//! Moving messages between a socket and the two queues.

use std::{sync::Arc, task::Context};

use crate::{
    inbox::Inbox,
    outbox::{Outbox, Queue},
    reason::Reason,
    report::Ending,
};

/// The part of an actor that differs between streams and packet sockets. [`Task`](crate::task::Task) does the rest.
pub(crate) trait Driver: Send + 'static {
    /// The queue of messages to send.
    type Queue: Queue + Send + 'static;

    /// Whether the peer can close its direction, so that a normal close waits for that.
    const HAS_END: bool;

    /// Moves as much as the socket and the queues allow in both directions, up to a budget.
    ///
    /// # Errors
    ///
    /// The reason why the connection cannot continue.
    fn poll_move(&mut self, cx: &mut Context<'_>, ends: &Ends<Self::Queue>) -> Result<Moved, Reason>;

    /// A count that grows with every sign of life of the peer.
    fn heard(&self) -> u64;

    /// While data waits to be written, a count that grows whenever the kernel accepts some of it.
    fn stalled_at(&mut self) -> Option<u64> {
        None
    }

    /// Writes what the kernel accepts although it has not reported room. Returns whether anything has changed.
    fn write_unannounced(&mut self) -> bool {
        false
    }

    /// Whether nothing is read because our side has not taken the data that accompanied the messages.
    fn is_full(&self) -> bool {
        false
    }

    /// Whether the kernel holds something to read now.
    fn has_unread(&self) -> bool;

    /// Whether the peer has closed both directions.
    fn is_hung_up(&self) -> bool;

    /// Whether nothing more will be read.
    fn is_read_ended(&self) -> bool;

    /// Whether nothing more will be written.
    fn is_write_closed(&self) -> bool;

    /// Whether the connection ends as soon as the kernel holds nothing more to read, even without a request.
    fn ends_when_read(&self) -> bool;

    /// Stops the arrival of messages, if the socket can. Those that have arrived can still be received.
    fn close_intake(&mut self) {}

    /// Stops writing: the peer has closed both directions.
    fn give_up_writing(&mut self, ends: &Ends<Self::Queue>);

    /// Called when everything that could be moved was moved. A connection that stays idle releases memory.
    fn rest(&mut self, cx: &mut Context<'_>, ends: &Ends<Self::Queue>) {
        let _ = (cx, ends);
    }

    /// Why a direction ended early, if one did.
    fn take_failure(&mut self) -> Option<Reason>;

    /// Closes both queues, and reports the outcome of everything. `drained` means that everything that had arrived was
    /// read.
    fn end(&mut self, ends: &Ends<Self::Queue>, reason: Reason, drained: bool) -> Ending;
}

/// How far the driver got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// As far as the socket allows. The task is woken when it allows more.
    All,
    /// As far as the inbox has room, or the receiver is gone: we do not read from the peer.
    Deaf,
    /// As far as its budget. There may be more to do immediately.
    Spent,
}

/// The queues between the task and the handles.
pub(crate) struct Ends<Q> {
    pub(crate) outbox: Arc<Outbox<Q>>,
    pub(crate) inbox: Arc<Inbox>,
}

impl<Q> Clone for Ends<Q> {
    fn clone(&self) -> Self {
        Self { outbox: Arc::clone(&self.outbox), inbox: Arc::clone(&self.inbox) }
    }
}
