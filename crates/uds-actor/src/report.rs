//! What closing a connection returns.

use std::fmt;

use frame_codec::Batch;

use crate::{Peer, count::Count, reason::Reason};

/// What became of everything that went through a connection. Display is one line.
///
/// | word | means |
/// |---|---|
/// | handed to the kernel | every byte was written to the socket; a plain sender knows no more |
/// | unsent | accepted for sending, no byte written, given back here |
/// | received | read into this process as a complete frame |
/// | delivered | returned by the [`Receiver`](crate::Receiver) |
/// | lost | received, and the receiver was dropped before it took it |
/// | truncated | an incomplete frame: its rest never came, or never went out |
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Who was at the other end, if the kernel vouched for it.
    pub peer: Option<Peer>,
    /// Why the connection ended.
    pub reason: Reason,
    /// Frames of which every byte was written, and all bytes written, framing included.
    pub handed_to_kernel: Count,
    /// Frames of which no byte was written, in order.
    pub unsent: Batch,
    /// Frames that the framing cannot carry; each was rejected when it was sent.
    pub rejected: u64,
    /// Frames dropped by [`Overflow::DropNewest`](crate::Overflow::DropNewest).
    pub dropped: u64,
    /// Bytes missing of a frame that was half written; the peer sees it truncated.
    pub truncated_sending: usize,
    /// Complete frames read.
    pub received: Count,
    /// Frames taken by the receiver. While the receiver lives, this and `lost` are as of the moment you asked for the report.
    pub delivered: Count,
    /// Frames that were received, and dropped because the receiver was.
    pub lost: Count,
    /// Bytes received of a frame whose rest never came.
    pub truncated_receiving: usize,
    /// Whether the last frame received was ended by the end of the stream, or because we stopped reading, instead of by its
    /// terminator: it may be the beginning of a longer one whose sender was interrupted.
    pub unterminated: bool,
    /// Frames over the limit that were left out ([`Oversize::Skip`](frame_codec::Oversize::Skip)); not among those received.
    pub skipped: u64,
    /// Frames received that are the beginnings of frames over the limit
    /// ([`Oversize::Shorten`](frame_codec::Oversize::Shorten)).
    pub shortened: u64,
}

/// What the actor itself knows at its end. The receiver's part is added when you ask for a report.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) reason: Reason,
    pub(crate) handed_to_kernel: Count,
    pub(crate) unsent: Batch,
    pub(crate) rejected: u64,
    pub(crate) dropped: u64,
    pub(crate) truncated_sending: usize,
    pub(crate) truncated_receiving: usize,
    pub(crate) unterminated: bool,
}

/// What became of the frames that the actor has read, so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    pub(crate) received: Count,
    pub(crate) delivered: Count,
    pub(crate) lost: Count,
    pub(crate) skipped: u64,
    pub(crate) shortened: u64,
}

impl Ending {
    pub(crate) fn report(&self, peer: Option<Peer>, arrived: Arrived) -> Report {
        Report {
            peer,
            reason: self.reason.clone(),
            handed_to_kernel: self.handed_to_kernel,
            unsent: self.unsent.clone(),
            rejected: self.rejected,
            dropped: self.dropped,
            truncated_sending: self.truncated_sending,
            received: arrived.received,
            delivered: arrived.delivered,
            lost: arrived.lost,
            truncated_receiving: self.truncated_receiving,
            unterminated: self.unterminated,
            skipped: arrived.skipped,
            shortened: arrived.shortened,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: handed over {}, unsent {}", self.reason, self.handed_to_kernel, Count::of(&self.unsent))?;
        write!(f, "; received {}, delivered {}, lost {}", self.received, self.delivered, self.lost)?;
        if self.rejected > 0 {
            write!(f, "; rejected {}", self.rejected)?;
        }
        if self.dropped > 0 {
            write!(f, "; dropped {} for want of room", self.dropped)?;
        }
        if self.truncated_receiving > 0 {
            write!(f, "; {} bytes of a truncated frame", self.truncated_receiving)?;
        }
        if self.unterminated {
            f.write_str("; the last frame received is unterminated")?;
        }
        if self.skipped > 0 {
            write!(f, "; {} over the limit left out", self.skipped)?;
        }
        if self.shortened > 0 {
            write!(f, "; {} over the limit shortened", self.shortened)?;
        }
        if self.truncated_sending > 0 {
            write!(f, "; a frame went out truncated by {} bytes", self.truncated_sending)?;
        }
        Ok(())
    }
}
