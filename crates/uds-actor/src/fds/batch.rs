//! Frames as they were received, each with its descriptors.

use std::{
    collections::{VecDeque, vec_deque},
    fmt,
    iter::FusedIterator,
    os::fd::OwnedFd,
};

use bytes::Bytes;
use frame_codec::{Frames, IntoFrames};

use super::fault::Fault;

/// Frames, each with the descriptors that came with it.
///
/// Iterating a borrowed batch lends payloads and descriptors; iterating an owned batch gives them to you. Descriptors
/// that you do not take are closed when the batch is dropped.
#[derive(Default)]
pub struct Batch {
    frames: frame_codec::Batch,
    /// One entry for each frame that has descriptors, in order.
    sets: VecDeque<Vec<OwnedFd>>,
}

/// A frame that you own.
#[derive(Debug)]
#[non_exhaustive]
pub struct Message {
    /// The payload.
    pub payload: Bytes,
    /// The descriptors, in the sender's order. They are close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

impl Batch {
    pub(super) const fn new(frames: frame_codec::Batch, sets: VecDeque<Vec<OwnedFd>>) -> Self {
        Self { frames, sets }
    }

    /// The number of frames.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether it contains no frame.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Lends the frames one by one.
    #[must_use]
    pub fn iter(&self) -> Lent<'_> {
        Lent { frames: self.frames.iter(), sets: self.sets.iter() }
    }
}

/// Whether the frame has descriptors.
fn has_any(frame: &[u8]) -> bool {
    matches!(Fault::count_of(frame), Ok(1..))
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let descriptors: usize = self.sets.iter().map(Vec::len).sum();
        f.debug_struct("Batch").field("frames", &self.len()).field("descriptors", &descriptors).finish()
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = (&'a [u8], &'a [OwnedFd]);
    type IntoIter = Lent<'a>;

    fn into_iter(self) -> Lent<'a> {
        self.iter()
    }
}

impl IntoIterator for Batch {
    type Item = Message;
    type IntoIter = Given;

    fn into_iter(self) -> Given {
        Given { frames: self.frames.into_frames(), sets: self.sets }
    }
}

/// Lends the frames of a [`Batch`].
#[derive(Clone, Debug)]
pub struct Lent<'a> {
    frames: Frames<'a>,
    sets: vec_deque::Iter<'a, Vec<OwnedFd>>,
}

impl<'a> Iterator for Lent<'a> {
    type Item = (&'a [u8], &'a [OwnedFd]);

    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.frames.next()?;
        let descriptors = if has_any(frame) { self.sets.next().map_or(&[][..], Vec::as_slice) } else { &[] };
        Some((frame.get(1..).unwrap_or_default(), descriptors))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.frames.size_hint()
    }
}

impl ExactSizeIterator for Lent<'_> {}
impl FusedIterator for Lent<'_> {}

/// Iterates over the frames of a [`Batch`] by value.
#[derive(Debug)]
pub struct Given {
    frames: IntoFrames,
    sets: VecDeque<Vec<OwnedFd>>,
}

impl Iterator for Given {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let mut frame = self.frames.next()?;
        let descriptors = if has_any(&frame) { self.sets.pop_front().unwrap_or_default() } else { Vec::new() };
        Some(Message { payload: frame.split_off(1.min(frame.len())), descriptors })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.frames.size_hint()
    }
}

impl ExactSizeIterator for Given {}
impl FusedIterator for Given {}
