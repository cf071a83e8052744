//! Skips a frame that is larger than the limit, without holding it.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{Buf as _, Bytes};

use super::{Decoder, Pending, State};
use crate::{Batch, Error, Framing, Oversize, Scan, framing::Oversized};

/// What is still to come of a frame that is being skipped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
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
    /// More bytes are needed to decide.
    Waiting,
}

impl<F: Framing> Decoder<F> {
    /// Begins to skip the frame at the front, for which the framing returned this error.
    ///
    /// The error is final if the limits do not allow skipping or the framing does not support it.
    pub(super) fn begin_passing(&mut self, error: Error) -> Result<Begun, Error> {
        let policy = self.limits.oversize();
        if policy == Oversize::Disconnect || !matches!(error, Error::FrameTooLarge { .. }) {
            return Err(self.broken(error));
        }
        let (start, len, rest) = match self.framing.oversized(&self.unread) {
            Ok(Oversized::Declared { start, len, tail }) => (start, Some(len), Rest::Counted { left: len, tail }),
            Ok(Oversized::Open { start }) => (start, None, Rest::Open),
            Ok(Oversized::More) => return Ok(self.wait_for(self.unread.len().saturating_add(1))),
            Ok(Oversized::Unknown) => return Err(self.broken(error)),
            Err(error) => return Err(self.broken(error)),
        };
        if self.unread.len() < start {
            return Ok(self.wait_for(start));
        }
        if policy == Oversize::Skip {
            self.drop_front(start);
            self.skipped = self.skipped.saturating_add(1);
            self.passing = Some(rest);
            return Ok(Begun::Passing);
        }
        let kept = self.limits.max_frame();
        let end = start.saturating_add(kept);
        if self.unread.len() < end {
            return Ok(self.wait_for(end));
        }
        let payload = Bytes::copy_from_slice(self.unread.get(start..end).unwrap_or_default());
        self.drop_front(end);
        self.passing = Some(match rest {
            Rest::Counted { tail, .. } => {
                Rest::Counted { left: len.unwrap_or_default().saturating_sub(kept as u64), tail }
            }
            Rest::Open => Rest::Open,
        });
        // The next call skips what follows.
        self.pending = Pending { at_least: 0, scanned: 0 };
        Ok(Begun::Shortened(Batch::single(payload).marked_shortened().behind(std::mem::take(&mut self.skipped))))
    }

    /// Drops what has arrived of the frame that is being skipped. Returns whether that completes it.
    pub(super) fn pass_over(&mut self) -> Result<bool, Error> {
        match self.passing {
            None => Ok(true),
            Some(Rest::Counted { left, tail }) => {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.unread.len());
                self.drop_front(here);
                let left = left.saturating_sub(here as u64);
                if left == 0 && self.unread.starts_with(tail) {
                    self.drop_front(tail.len());
                    return Ok(self.passed());
                }
                if left == 0 && !tail.starts_with(&self.unread) {
                    return Err(self.broken(Error::Malformed { what: "no terminator behind the payload" }));
                }
                self.passing = Some(Rest::Counted { left, tail });
                let at_least = if left == 0 { tail.len() } else { 1 };
                self.pending = Pending { at_least, scanned: 0 };
                Ok(false)
            }
            Some(Rest::Open) => match self.framing.resume(&self.unread) {
                Ok(Scan::Frame { end, .. }) => {
                    self.drop_front(end);
                    Ok(self.passed())
                }
                Ok(Scan::More { scanned, .. }) => {
                    self.drop_front(scanned);
                    self.pending = Pending { at_least: self.unread.len().saturating_add(1), scanned: 0 };
                    Ok(false)
                }
                Err(error) => Err(self.broken(error)),
            },
        }
    }

    fn passed(&mut self) -> bool {
        self.passing = None;
        self.pending = Pending { at_least: 1, scanned: 0 };
        true
    }

    fn wait_for(&mut self, at_least: usize) -> Begun {
        self.pending = Pending { at_least, scanned: 0 };
        Begun::Waiting
    }

    fn drop_front(&mut self, len: usize) {
        let len = len.min(self.unread.len());
        self.unread.advance(len);
        self.fresh &= len == 0;
    }

    fn broken(&mut self, error: Error) -> Error {
        self.passing = None;
        self.state = State::Broken(error.clone());
        error
    }
}
