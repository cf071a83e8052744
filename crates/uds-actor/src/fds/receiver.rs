//! The handle that receives frames with descriptors.

use std::{
    collections::VecDeque,
    future::poll_fn,
    os::fd::OwnedFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use super::{
    batch::{Batch, Message},
    transit::Transit,
};
use crate::receiver;

/// Receives frames one by one or in batches, each frame with its descriptors.
///
/// If you drop it, unread data stays in the kernel. Frames that were read and not taken are lost, and their descriptors
/// are closed.
///
/// # Limits
///
/// Besides the bytes ([`Actor::inbox_bytes`](crate::Actor::inbox_bytes)), the number of waiting descriptors is limited
/// ([`Limits::held`](super::Limits::held)). At either limit nothing more is read, and the kernel makes the peer wait.
#[derive(Debug)]
pub struct Receiver {
    receiver: receiver::Receiver,
    transit: Arc<Transit>,
}

impl Receiver {
    pub(super) const fn new(receiver: receiver::Receiver, transit: Arc<Transit>) -> Self {
        Self { receiver, transit }
    }

    /// Waits for the next frame, and returns it with its descriptors; `None` when nothing will follow.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken nothing.
    pub async fn recv(&mut self) -> Option<Message> {
        let mut frame = poll_fn(|cx| self.receiver.poll_recv_shared(cx)).await?;
        let descriptors = self.take_descriptors([&frame[..]].into_iter()).pop_front().unwrap_or_default();
        Some(Message { payload: frame.split_off(1.min(frame.len())), descriptors })
    }

    /// Waits for the next batch; `None` when nothing will follow. [`Control::finished`](crate::Control::finished)
    /// reports why the connection ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken nothing.
    pub async fn recv_batch(&mut self) -> Option<Batch> {
        poll_fn(|cx| self.poll_recv_batch(cx)).await
    }

    /// The same for hand-written futures: `Pending` means that the task will be woken when there is a batch.
    pub fn poll_recv_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        let Some(frames) = ready!(self.receiver.poll_recv_batch(cx)) else { return Poll::Ready(None) };
        let descriptors = self.take_descriptors(frames.iter());
        Poll::Ready(Some(Batch::new(frames, descriptors)))
    }

    /// The descriptors of these frames, which are the next ones: one entry for each frame that has any.
    fn take_descriptors<'a>(&self, frames: impl Iterator<Item = &'a [u8]>) -> VecDeque<Vec<OwnedFd>> {
        let (descriptors, actor) = self.transit.incoming().deliver(frames);
        if let Some(actor) = actor {
            actor.wake();
        }
        descriptors
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
        let waiting = self.transit.incoming().abandon();
        // Closing may take some time, and does not need the lock.
        drop(waiting);
    }
}
