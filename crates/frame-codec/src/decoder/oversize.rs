//! Skips a frame that is larger than the limit, without holding it.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::mem;

use bytes::Bytes;

use super::buffer::Buffer;
use crate::{Batch, DecodeError, Framing, Limits, Oversize, Scan, framing::Oversized};

/// The frame over the limit that is being skipped, and how many were skipped.
#[derive(Debug, Default)]
pub(super) struct Passage {
    rest: Option<Rest>,
    /// Frames over the limit that were left out since the last batch.
    skipped: u32,
}

/// What is still to come of a frame that is being skipped.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// This many bytes of payload, then the tail.
    Counted { left: u64, tail: &'static [u8] },
    /// The framing finds the end.
    Open,
}

/// How skipping a frame began.
pub(super) enum Begun {
    /// Its beginning stands for the frame. The rest is to be skipped.
    Shortened(Batch),
    /// All of it is to be skipped.
    Passing,
    /// The buffer must hold this many bytes first.
    Waiting { at_least: usize },
}

/// Whether the end of the frame has been reached.
pub(super) enum Passed {
    /// It has, and what follows is in the buffer.
    All,
    /// It has not. Try again when the buffer holds this many bytes.
    Part { at_least: usize },
}

impl Passage {
    #[inline]
    pub(super) const fn is_under_way(&self) -> bool {
        self.rest.is_some()
    }

    /// Forgets the frame, because the stream has ended in it or has failed. Returns whether there was one.
    pub(super) fn end(&mut self) -> bool {
        self.rest.take().is_some()
    }

    /// Frames that were left out since the last call.
    #[inline]
    pub(super) fn take_skipped(&mut self) -> u32 {
        mem::take(&mut self.skipped)
    }

    /// Begins to skip the frame at the front of the buffer, for which the framing returned `error`.
    ///
    /// # Errors
    ///
    /// The limits do not allow skipping, or the framing does not support it.
    pub(super) fn begin<F: Framing>(
        &mut self,
        framing: &F,
        limits: &Limits,
        buffer: &mut Buffer,
        error: DecodeError,
    ) -> Result<Begun, DecodeError> {
        let policy = limits.oversize();
        if policy == Oversize::Disconnect || !matches!(error, DecodeError::FrameTooLarge { .. }) {
            return Err(error);
        }
        let (start, len, rest) = match framing.oversized(buffer.unread())? {
            Oversized::Declared { start, len, tail } => (start, Some(len), Rest::Counted { left: len, tail }),
            Oversized::Open { start } => (start, None, Rest::Open),
            Oversized::More => return Ok(Begun::Waiting { at_least: buffer.len().saturating_add(1) }),
            Oversized::Unknown => return Err(error),
        };
        if buffer.len() < start {
            return Ok(Begun::Waiting { at_least: start });
        }
        if policy == Oversize::Skip {
            buffer.drop_front(start);
            self.skipped = self.skipped.saturating_add(1);
            self.rest = Some(rest);
            return Ok(Begun::Passing);
        }
        let kept = limits.max_frame();
        let end = start.saturating_add(kept);
        if buffer.len() < end {
            return Ok(Begun::Waiting { at_least: end });
        }
        let payload = Bytes::copy_from_slice(buffer.unread().get(start..end).unwrap_or_default());
        buffer.drop_front(end);
        self.rest = Some(match rest {
            Rest::Counted { tail, .. } => {
                Rest::Counted { left: len.unwrap_or_default().saturating_sub(kept as u64), tail }
            }
            Rest::Open => Rest::Open,
        });
        Ok(Begun::Shortened(Batch::single(payload).marked_shortened().behind(self.take_skipped())))
    }

    /// Drops what has arrived of the frame that is being skipped.
    ///
    /// # Errors
    ///
    /// The framing finds no end where one must be.
    pub(super) fn pass_over<F: Framing>(&mut self, framing: &F, buffer: &mut Buffer) -> Result<Passed, DecodeError> {
        match self.rest {
            None => Ok(Passed::All),
            Some(Rest::Counted { left, tail }) => {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                buffer.drop_front(here);
                let left = left.saturating_sub(here as u64);
                if left == 0 && buffer.unread().starts_with(tail) {
                    buffer.drop_front(tail.len());
                    self.rest = None;
                    return Ok(Passed::All);
                }
                if left == 0 && !tail.starts_with(buffer.unread()) {
                    return Err(DecodeError::Malformed { what: "no terminator behind the payload" });
                }
                self.rest = Some(Rest::Counted { left, tail });
                Ok(Passed::Part { at_least: if left == 0 { tail.len() } else { 1 } })
            }
            Some(Rest::Open) => match framing.resume(buffer.unread())? {
                Scan::Frame { end, .. } => {
                    buffer.drop_front(end);
                    self.rest = None;
                    Ok(Passed::All)
                }
                Scan::More { scanned, .. } => {
                    buffer.drop_front(scanned);
                    Ok(Passed::Part { at_least: buffer.len().saturating_add(1) })
                }
            },
        }
    }
}
