//! The senders' view of an outbox.

use std::{
    fmt,
    task::{Context, Poll},
};

use crate::{
    error::{FlushError, SendError, TrySendError},
    payload::Payload,
    waiters::Ticket,
};

/// The senders' side of an outbox, for any framing.
pub(crate) trait Outlet: Send + Sync + fmt::Debug {
    /// Queues a frame if there is room; otherwise `Pending`, and the task will be woken when there may be room.
    fn poll_push(
        &self,
        cx: &Context<'_>,
        ticket: &mut Ticket,
        payload: Payload<'_>,
    ) -> Poll<Result<(), Box<SendError>>>;

    /// Queues a frame now, or not at all.
    fn try_push(&self, payload: Payload<'_>) -> Result<(), Box<TrySendError>>;

    /// The current end of the queue, for use with [`poll_written`](Self::poll_written).
    fn mark(&self) -> u64;

    /// Whether everything up to `mark` was handed to the kernel; an error if it never will be.
    fn poll_written(&self, cx: &Context<'_>, ticket: &mut Ticket, mark: u64) -> Poll<Result<(), FlushError>>;

    /// Stops the waiting of the future with this ticket.
    fn forget(&self, ticket: &Ticket);

    /// Accepts no more frames. What is queued is still written, then our direction is closed.
    fn finish(&self);

    fn add_sender(&self);

    fn drop_sender(&self);
}

/// What [`Sender::send`](crate::Sender::send) does when the outbox is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Wait until there is room.
    #[default]
    Wait,
    /// End the connection: a peer that cannot keep up is not worth the memory. The report has
    /// [`Reason::Overflow`](crate::Reason::Overflow).
    Disconnect,
    /// Drop this message and succeed. The report counts it as dropped.
    DropNewest,
}
