//! The handle that receives.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use frame_codec::Batch;
use futures_core::Stream;

use crate::{count::Count, inbox::Inbox, requests::Handles};

/// Takes what arrives, batch by batch.
///
/// Dropping it leaves what has not been read in the kernel, and what was read and not taken is counted as lost.
///
/// # Limits
///
/// What is received and whose memory is still in use is bounded in bytes
/// ([`Actor::inbox_bytes`](crate::Actor::inbox_bytes)) — frames that are kept count, too. At the bound nothing more is
/// read, and the kernel holds the peer back.
#[derive(Debug)]
pub struct Receiver {
    inbox: Arc<Inbox>,
    handles: Arc<Handles>,
}

impl Receiver {
    pub(crate) const fn new(inbox: Arc<Inbox>, handles: Arc<Handles>) -> Self {
        Self { inbox, handles }
    }

    /// Waits for the next batch; `None` when nothing will follow. [`Control::finished`](crate::Control::finished) says
    /// why it ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken nothing.
    pub async fn recv_batch(&mut self) -> Option<Batch> {
        poll_fn(|cx| self.poll_recv_batch(cx)).await
    }

    /// The same for hand-written futures: `Pending` means that the task is woken when there is a batch.
    pub fn poll_recv_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        self.inbox.poll_take(cx)
    }

    /// Says that this much of what was taken could not be delivered after all.
    pub(crate) fn retract(&self, count: Count) {
        self.inbox.retract(count);
    }
}

impl Stream for Receiver {
    type Item = Batch;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        self.poll_recv_batch(cx)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.inbox.drop_receiver();
        self.handles.0.ring();
    }
}
