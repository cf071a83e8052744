//! The handle that sends frames.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use frame_codec::Batch;

use crate::{
    error::{FlushError, SendError, TrySendError, Unsent},
    outlet::Outlet,
    payload::{Message, Payload},
    requests::Handles,
    waiters::Ticket,
};

/// Sends frames. Clone it for more producers: frames of one clone keep their order.
///
/// Dropping the last clone has the effect of [`finish`](Self::finish).
///
/// # Limits
///
/// The queue is limited in bytes ([`Actor::outbox_bytes`](crate::Actor::outbox_bytes)). At the limit, `try_send` fails,
/// and `send` does what [`Actor::on_full`](crate::Actor::on_full) says: by default, it waits. A single frame larger
/// than the limit goes alone.
#[derive(Debug)]
pub struct Sender {
    outlet: Arc<dyn Outlet>,
    _handles: Arc<Handles>,
}

impl Sender {
    pub(crate) fn new(outlet: Arc<dyn Outlet>, handles: Arc<Handles>) -> Self {
        Self { outlet, _handles: handles }
    }

    /// Copies and queues a frame as soon as there is room.
    ///
    /// A queued frame is not written yet: [`flush`](Self::flush) waits for that. While the actor has nothing to write,
    /// this call writes a lone frame itself, as well as each block of 128 KiB that becomes full. After four such
    /// blocks, it yields to the other tasks of its thread.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] or [`SendError::Unsendable`]. Nothing is queued.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has queued nothing.
    pub fn send<'a>(&'a self, payload: &'a [u8]) -> impl Future<Output = Result<(), SendError>> + Send + use<'a> {
        self.push(payload)
    }

    #[inline]
    fn push<M: Message>(&self, message: M) -> Push<'_, M> {
        Push { outlet: &*self.outlet, message, ticket: Ticket::new() }
    }

    /// Queues a frame with a shared payload. From 4 KiB on, the payload is written without being copied.
    ///
    /// # Errors
    ///
    /// The error contains the payload and the reason.
    ///
    /// # Cancel safety
    ///
    /// No frame is ever half sent, but the payload is dropped with the future. To keep it, pass a clone, which is
    /// cheap.
    pub async fn send_shared(&self, payload: Bytes) -> Result<(), Unsent<Bytes>> {
        self.push(&payload).await.map_err(|reason| Unsent { message: payload, reason })
    }

    /// Queues every frame of a batch, in order, and waits for room as often as necessary.
    ///
    /// # Errors
    ///
    /// The error contains the number of frames that were queued before one failed, and the reason.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped future may have queued some of the frames.
    pub async fn send_batch(&self, batch: &Batch) -> Result<(), Unsent<usize>> {
        for (queued, frame) in batch.iter().enumerate() {
            self.send(frame).await.map_err(|reason| Unsent { message: queued, reason })?;
        }
        Ok(())
    }

    /// Queues a frame now, or not at all.
    ///
    /// It never yields. If the actor or the peer runs on this thread and you call it in a loop, yield between the
    /// calls.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if there is no room now; see [`send`](Self::send) for the others.
    pub fn try_send(&self, payload: &[u8]) -> Result<(), TrySendError> {
        self.outlet.try_push(Payload::lent(payload)).map_err(|error| *error)
    }

    /// Waits until everything that any clone queued before this call was handed to the kernel.
    ///
    /// # Errors
    ///
    /// [`FlushError`] if the connection ended before that.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn flush(&self) -> Result<(), FlushError> {
        let mark = self.outlet.mark();
        let mut waiting = self.waiting();
        poll_fn(|cx| self.outlet.poll_written(cx, &mut waiting.ticket, mark)).await
    }

    /// The outbox, for handles that queue more than bytes.
    pub(crate) fn outlet(&self) -> &dyn Outlet {
        &*self.outlet
    }

    /// Registers another future that may wait for room or for a flush.
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        Waiting { outlet: &*self.outlet, ticket: Ticket::default() }
    }

    /// Accepts no more frames from any clone, waits until what is queued was handed to the kernel, and then closes our
    /// direction. You can still receive.
    ///
    /// # Errors
    ///
    /// See [`flush`](Self::flush).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe. Once polled, the connection finishes even if you drop the future.
    pub async fn finish(self) -> Result<(), FlushError> {
        self.outlet.finish();
        self.flush().await
    }
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.outlet.add_sender();
        Self { outlet: Arc::clone(&self.outlet), _handles: Arc::clone(&self._handles) }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.outlet.drop_sender();
    }
}

/// A frame that waits for room. Dropping it stops the waiting. It is not an `async fn`, because every message goes
/// through it: the future is small and its result fits into registers, so a message that need not wait is not copied.
struct Push<'a, M> {
    outlet: &'a dyn Outlet,
    message: M,
    ticket: Ticket,
}

impl<M: Message + Unpin> Future for Push<'_, M> {
    type Output = Result<(), SendError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let Self { outlet, message, ticket } = &mut *self;
        outlet.poll_push(cx, ticket, message.payload()).map_err(|error| *error)
    }
}

impl<M> Drop for Push<'_, M> {
    #[inline]
    fn drop(&mut self) {
        if self.ticket.is_used() {
            self.outlet.forget(&self.ticket);
        }
    }
}

/// A future that may wait. Dropping it stops the waiting.
pub(crate) struct Waiting<'a> {
    outlet: &'a dyn Outlet,
    pub(crate) ticket: Ticket,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.ticket.is_used() {
            self.outlet.forget(&self.ticket);
        }
    }
}
