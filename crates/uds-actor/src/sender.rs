//! The handle that sends.

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

/// Puts frames on the connection. Clone it for more producers: frames of one clone keep their order.
///
/// Dropping the last clone is [`finish`](Self::finish).
///
/// # Limits
///
/// What waits to be written is bounded in bytes ([`Actor::outbox_bytes`](crate::Actor::outbox_bytes)). At the bound
/// `try_send` fails, and `send` does what [`Actor::on_full`](crate::Actor::on_full) says: it waits, unless told otherwise.
/// A single frame larger than the bound goes alone.
#[derive(Debug)]
pub struct Sender {
    outlet: Arc<dyn Outlet>,
    _handles: Arc<Handles>,
}

impl Sender {
    pub(crate) fn new(outlet: Arc<dyn Outlet>, handles: Arc<Handles>) -> Self {
        Self { outlet, _handles: handles }
    }

    /// Queues a frame by copying the payload, as soon as there is room.
    ///
    /// A queued frame is not written yet: [`flush`](Self::flush) waits for that. While the actor has nothing to write, this call
    /// itself writes a lone frame, and each block of 128 KiB that fills up; after four such blocks it yields to the other tasks
    /// of its thread.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] or [`SendError::Unsendable`]; nothing is queued.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has queued nothing, and the payload is still the caller's.
    pub fn send<'a>(&'a self, payload: &'a [u8]) -> impl Future<Output = Result<(), SendError>> + Send + use<'a> {
        self.push(payload)
    }

    #[inline]
    fn push<M: Message>(&self, message: M) -> Push<'_, M> {
        Push { outlet: &*self.outlet, message, ticket: Ticket::new() }
    }

    /// Queues a frame whose payload is shared: from 4 KiB on it is written from where it lies.
    ///
    /// # Errors
    ///
    /// The payload comes back with the reason.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe in that nothing is half sent; but the payload is dropped with the future. Keep a clone, which costs
    /// nothing, to have it back.
    pub async fn send_shared(&self, payload: Bytes) -> Result<(), Unsent<Bytes>> {
        self.push(&payload).await.map_err(|reason| Unsent { message: payload, reason })
    }

    /// Queues every frame of a batch, in order, waiting for room as often as it takes.
    ///
    /// # Errors
    ///
    /// The number of frames that were queued before one was not, with the reason.
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
    /// It never yields. If the actor or the peer run on this thread and you call it in a loop, yield between the calls.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if there is no room now, and as for [`send`](Self::send).
    pub fn try_send(&self, payload: &[u8]) -> Result<(), TrySendError> {
        self.outlet.try_push(Payload::lent(payload)).map_err(|refusal| *refusal)
    }

    /// Waits until everything that any clone queued before this call is handed to the kernel.
    ///
    /// # Errors
    ///
    /// [`FlushError`] if the connection ended before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn flush(&self) -> Result<(), FlushError> {
        let mark = self.outlet.mark();
        let mut waiting = self.waiting();
        poll_fn(|cx| self.outlet.poll_written(cx, &mut waiting.ticket, mark)).await
    }

    /// Where the outbox is, for handles that queue more than bytes.
    pub(crate) fn outlet(&self) -> &dyn Outlet {
        &*self.outlet
    }

    /// Registers one more future that may wait for room or for a flush.
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        Waiting { outlet: &*self.outlet, ticket: Ticket::default() }
    }

    /// Takes no more frames from any clone, waits until what is queued is handed to the kernel, and has our direction
    /// closed behind it. Receiving goes on.
    ///
    /// # Errors
    ///
    /// As for [`flush`](Self::flush).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; once polled, the connection finishes whether the future is kept or not.
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

/// A frame that waits for room; dropped, it waits no more. It is not an `async fn`, because every message goes through it:
/// the future is small and its result fits registers, so that a message that need not wait copies neither.
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
        outlet.poll_push(cx, ticket, message.payload()).map_err(|refusal| *refusal)
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

/// A future that may wait; dropped, it waits no more.
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
