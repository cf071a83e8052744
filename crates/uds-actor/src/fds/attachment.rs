//! The descriptors of a frame that waits to be queued.

use std::{
    fmt, mem,
    os::fd::OwnedFd,
    sync::{Mutex, PoisonError},
};

use super::transit::Transit;
use crate::payload::{Attached, Payload};

/// The sender's descriptors, borrowed while it waits. They belong to the caller until the frame is queued.
#[derive(Debug)]
pub(super) struct Descriptors<'a> {
    transit: &'a Transit,
    frame: &'a [u8],
    theirs: &'a mut Vec<OwnedFd>,
}

impl<'a> Descriptors<'a> {
    pub(super) const fn new(transit: &'a Transit, frame: &'a [u8], theirs: &'a mut Vec<OwnedFd>) -> Self {
        Self { transit, frame, theirs }
    }

    /// Tries to queue them. What is not taken goes back to the caller.
    pub(super) fn attach<R>(&mut self, push: impl FnOnce(Payload<'_>) -> R) -> R {
        let descriptors = mem::take(self.theirs);
        let attachment =
            Attachment { transit: self.transit, count: descriptors.len(), descriptors: Mutex::new(descriptors) };
        let outcome = push(Payload::attached(self.frame, &attachment));
        *self.theirs = attachment.descriptors.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcome
    }

    /// Closes the rest, because the frame was dropped for lack of room.
    pub(super) fn drop_rest(&mut self) {
        self.transit.outgoing().dropped += self.theirs.len() as u64;
        self.theirs.clear();
    }
}

/// The outbox's view of descriptors while it queues their frame.
struct Attachment<'a> {
    transit: &'a Transit,
    count: usize,
    /// Present until the frame is queued.
    descriptors: Mutex<Vec<OwnedFd>>,
}

impl Attached for Attachment<'_> {
    fn has_room(&self) -> bool {
        self.transit.outgoing().has_room(self.count)
    }

    fn begin_at(&self, offset: u64) {
        let descriptors = mem::take(&mut *self.descriptors.lock().unwrap_or_else(PoisonError::into_inner));
        self.transit.outgoing().push(offset, descriptors);
    }
}

impl fmt::Debug for Attachment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("count", &self.count).finish_non_exhaustive()
    }
}
