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

/// Takes what arrives, frame by frame or batch by batch, each frame with its descriptors.
///
/// Dropping it leaves what has not been read in the kernel; what was read and not taken is lost, and its descriptors closed.
///
/// # Limits
///
/// Besides the bytes ([`Actor::inbox_bytes`](crate::Actor::inbox_bytes)), the descriptors that wait here are bounded
/// ([`Limits::held`](super::Limits::held)). At either bound nothing more is read, and the kernel holds the peer back.
#[derive(Debug)]
pub struct Receiver {
    receiver: receiver::Receiver,
    transit: Arc<Transit>,
}

impl Receiver {
    pub(super) const fn new(receiver: receiver::Receiver, transit: Arc<Transit>) -> Self {
        Self { receiver, transit }
    }

    /// Waits for the next frame and gives it away with its descriptors; `None` when nothing will follow.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken nothing.
    pub async fn recv(&mut self) -> Option<Message> {
        let mut frame = poll_fn(|cx| self.receiver.poll_recv_shared(cx)).await?;
        let descriptors = self.take_descriptors([&frame[..]].into_iter()).pop_front().unwrap_or_default();
        Some(Message { payload: frame.split_off(1.min(frame.len())), descriptors })
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
        let Some(frames) = ready!(self.receiver.poll_recv_batch(cx)) else { return Poll::Ready(None) };
        let descriptors = self.take_descriptors(frames.iter());
        Poll::Ready(Some(Batch::new(frames, descriptors)))
    }

    /// The descriptors of these frames, which are the next: one entry for each frame that has any.
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
        // Closing may take its time, and the lock is not needed for it.
        drop(waiting);
    }
}
