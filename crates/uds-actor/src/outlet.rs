//! An outbox as senders see it.

use std::{
    fmt,
    task::{Context, Poll},
};

use crate::{
    error::{FlushError, SendError, TrySendError},
    payload::Payload,
    waiters::Ticket,
};

/// The senders' side of an outbox, whatever its framing.
pub(crate) trait Outlet: Send + Sync + fmt::Debug {
    /// Queues a frame if there is room; otherwise `Pending`, and the task is woken when there may be.
    fn poll_push(
        &self,
        cx: &Context<'_>,
        ticket: &mut Ticket,
        payload: Payload<'_>,
    ) -> Poll<Result<(), Box<SendError>>>;

    /// Queues a frame now or not at all.
    fn try_push(&self, payload: Payload<'_>) -> Result<(), Box<TrySendError>>;

    /// Where the queue ends now, to wait for with [`poll_written`](Self::poll_written).
    fn mark(&self) -> u64;

    /// Whether everything up to `mark` is handed to the kernel; an error if it never will be.
    fn poll_written(&self, cx: &Context<'_>, ticket: &mut Ticket, mark: u64) -> Poll<Result<(), FlushError>>;

    /// Has the future with this ticket wait no longer.
    fn forget(&self, ticket: &Ticket);

    /// Takes no more frames; what is queued is still written, then our direction is closed.
    fn finish(&self);

    fn add_sender(&self);

    fn drop_sender(&self);
}

/// What [`Sender::send`](crate::Sender::send) does when the outbox is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// It waits until there is room.
    #[default]
    Wait,
    /// It ends the connection: a peer that cannot keep up is not worth the memory. The report says
    /// [`Reason::Overflow`](crate::Reason::Overflow).
    Disconnect,
    /// It drops this message, and succeeds; the report counts it as dropped.
    DropNewest,
}
