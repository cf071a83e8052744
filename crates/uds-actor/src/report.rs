//! The report that closing a connection returns.

use std::fmt;

use frame_codec::Batch;

use crate::{Peer, count::Count, reason::Reason};

/// The outcome of everything that went through a connection. Display is one line.
///
/// | word | means |
/// |---|---|
/// | handed to the kernel | every byte was written to the socket; a sender without acknowledgements knows no more |
/// | unsent | accepted for sending, no byte written, given back here |
/// | received | read into this process as a complete frame |
/// | delivered | returned by the [`Receiver`](crate::Receiver) |
/// | lost | received, but the receiver was dropped before it took it |
/// | truncated | an incomplete frame: the rest never arrived, or was never written |
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The peer's identity, if the kernel guaranteed it.
    pub peer: Option<Peer>,
    /// Why the connection ended.
    pub reason: Reason,
    /// Frames of which every byte was written; the bytes are all bytes written, including framing.
    pub handed_to_kernel: Count,
    /// Frames of which no byte was written, in order.
    pub unsent: Batch,
    /// Frames that the framing cannot carry. Sending each of them returned an error.
    pub rejected: u64,
    /// Frames dropped by [`Overflow::DropNewest`](crate::Overflow::DropNewest).
    pub dropped: u64,
    /// Bytes that are missing from a frame that was partly written. For the peer, the frame is truncated.
    pub truncated_sending: usize,
    /// Complete frames read.
    pub received: Count,
    /// Frames taken by the receiver. While the receiver exists, this and `lost` are the numbers at the time when you
    /// asked for the report.
    pub delivered: Count,
    /// Frames that were received, and dropped together with the receiver.
    pub lost: Count,
    /// Bytes received of a frame whose rest never arrived.
    pub truncated_receiving: usize,
    /// Whether the last received frame ended with the stream, or because we stopped reading, instead of with its
    /// terminator. It may be the beginning of a longer frame whose sender was interrupted.
    pub unterminated: bool,
    /// Frames over the limit that were left out ([`Oversize::Skip`](frame_codec::Oversize::Skip)). They do not count as
    /// received.
    pub skipped: u64,
    /// Received frames that are the beginning of a frame over the limit
    /// ([`Oversize::Shorten`](frame_codec::Oversize::Shorten)).
    pub shortened: u64,
}

/// What the actor itself knows at its end. The receiver's part is added when a report is requested.
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

/// The outcome of the frames that the actor has read, so far.
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
