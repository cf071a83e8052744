//! The handle that sends frames with descriptors.

use std::{future::poll_fn, os::fd::OwnedFd, sync::Arc};

use super::{
    attachment::Descriptors,
    error::{SendError, TrySendError},
    limits::MAX_PER_FRAME,
    transit::Transit,
    wire::counted,
};
use crate::{
    error::{self, FlushError},
    sender,
};

/// Sends frames, with or without descriptors. Clone it for more producers: frames of one clone keep their order.
///
/// Dropping the last clone has the effect of [`finish`](Self::finish).
///
/// # Limits
///
/// The queue is limited in bytes ([`Actor::outbox_bytes`](crate::Actor::outbox_bytes)) and in descriptors
/// ([`Limits::queued`](super::Limits::queued)). At either limit, `try_send` fails, and `send` does what
/// [`Actor::on_full`](crate::Actor::on_full) says.
#[derive(Clone, Debug)]
pub struct Sender {
    sender: sender::Sender,
    transit: Arc<Transit>,
}

impl Sender {
    pub(super) const fn new(sender: sender::Sender, transit: Arc<Transit>) -> Self {
        Self { sender, transit }
    }

    /// Copies and queues a frame without descriptors as soon as there is room.
    ///
    /// # Errors
    ///
    /// [`Closed`](error::SendError::Closed) or [`Unsendable`](error::SendError::Unsendable). Nothing is queued.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has queued nothing.
    pub async fn send(&self, payload: &[u8]) -> Result<(), error::SendError> {
        self.sender.send(&counted(0, payload)).await
    }

    /// Queues a frame with these descriptors, as soon as there is room for both.
    ///
    /// When the frame is queued, `descriptors` is empty: they belong to the connection, which sends them with the first
    /// byte of the frame and then closes them. If you still need one of them, pass a duplicate
    /// ([`OwnedFd::try_clone`](std::os::fd::OwnedFd::try_clone)).
    ///
    /// # Errors
    ///
    /// See [`send`](Self::send); also [`SendError::TooManyDescriptors`] for more than [`MAX_PER_FRAME`]. Nothing is
    /// queued, and `descriptors` is unchanged.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has queued nothing, and `descriptors` is unchanged.
    pub async fn send_with(&self, payload: &[u8], descriptors: &mut Vec<OwnedFd>) -> Result<(), SendError> {
        let frame = counted(count(descriptors)?, payload);
        if descriptors.is_empty() {
            return Ok(self.sender.send(&frame).await?);
        }
        let mut descriptors = Descriptors::new(&self.transit, &frame, descriptors);
        let mut waiting = self.sender.waiting();
        let outlet = self.sender.outlet();
        poll_fn(|cx| descriptors.attach(|payload| outlet.poll_push(cx, &mut waiting.ticket, payload)))
            .await
            .map_err(|error| SendError::from(*error))?;
        descriptors.drop_rest();
        Ok(())
    }

    /// Queues a frame without descriptors now, or not at all.
    ///
    /// # Errors
    ///
    /// [`Full`](error::TrySendError::Full) if there is no room now; see [`send`](Self::send) for the others.
    pub fn try_send(&self, payload: &[u8]) -> Result<(), error::TrySendError> {
        self.sender.try_send(&counted(0, payload))
    }

    /// Queues a frame with these descriptors now, or not at all.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if there is no room now; see [`send_with`](Self::send_with) for the others.
    pub fn try_send_with(&self, payload: &[u8], descriptors: &mut Vec<OwnedFd>) -> Result<(), TrySendError> {
        let frame = counted(count(descriptors)?, payload);
        if descriptors.is_empty() {
            return Ok(self.sender.try_send(&frame)?);
        }
        let outlet = self.sender.outlet();
        Descriptors::new(&self.transit, &frame, descriptors)
            .attach(|payload| outlet.try_push(payload))
            .map_err(|error| (*error).into())
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
        self.sender.flush().await
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
        self.sender.finish().await
    }
}

fn count(descriptors: &[OwnedFd]) -> Result<u8, SendError> {
    let count = descriptors.len();
    match u8::try_from(count) {
        Ok(byte) if count <= MAX_PER_FRAME => Ok(byte),
        _ => Err(SendError::TooManyDescriptors { count, max: MAX_PER_FRAME }),
    }
}
