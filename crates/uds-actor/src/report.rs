//! The account of a connection.

use std::{
    fmt, io,
    ops::{AddAssign, Sub},
    sync::Arc,
};

use frame_codec::Batch;

use crate::{
    Peer,
    fds::{self, Fault},
    packet::TurnedAway,
};

/// A number of frames and of their payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Frames.
    pub frames: u64,
    /// Payload bytes in them.
    pub bytes: u64,
}

impl Count {
    /// What a batch holds.
    #[must_use]
    pub const fn of(batch: &Batch) -> Self {
        Self { frames: batch.len() as u64, bytes: batch.byte_len() as u64 }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
    }
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { frames: self.frames - other.frames, bytes: self.bytes - other.bytes }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.frames == 1 { "" } else { "s" };
        write!(f, "{} frame{s} ({} bytes)", self.frames, self.bytes)
    }
}

/// What became of everything that went through a connection.
///
/// | word | means |
/// |---|---|
/// | handed to the kernel | written to the socket; a plain sender knows no more |
/// | returned | accepted for sending, never written, given back here |
/// | received | read into this process as complete frames |
/// | delivered | returned by [`Receiver::recv_batch`](crate::Receiver::recv_batch) |
/// | lost | received, and nobody is left to take it |
/// | cut | an incomplete frame: its rest never came, or never went out |
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
    /// Frames that the framing cannot carry; each was refused when it was sent.
    pub rejected: u64,
    /// Frames dropped by [`Overflow::DropNewest`](crate::Overflow::DropNewest).
    pub dropped: u64,
    /// Bytes missing of a frame that was half written; the peer sees it cut.
    pub truncated_sending: usize,
    /// Complete frames read.
    pub received: Count,
    /// Frames taken by the receiver. While it still lives, this and `lost` are as of the moment the report was asked for.
    pub delivered: Count,
    /// Frames that were received, and dropped because the receiver was.
    pub lost: Count,
    /// Bytes received of a frame whose rest never came.
    pub truncated_receiving: usize,
    /// Whether the last frame received was ended by the end of the stream, or of our reading, instead of its terminator: it
    /// may be the beginning of a longer one whose sender was interrupted.
    pub unterminated: bool,
    /// Frames over the limit that were left out ([`Oversize::Skip`](frame_codec::Oversize::Skip)); not among those received.
    pub skipped: u64,
    /// Frames received that are the beginnings of frames over the limit
    /// ([`Oversize::Shorten`](frame_codec::Oversize::Shorten)).
    pub shortened: u64,
    /// Packets that were read and not received, on datagram sockets.
    pub turned_away: TurnedAway,
    /// What became of descriptors, if the connection [passes them](crate::Actor::pass_descriptors).
    pub descriptors: Option<fds::Report>,
}

/// What the actor itself knows at its end; the receiver's part is added when a report is asked for.
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
    pub(crate) descriptors: Option<fds::Report>,
}

impl Ending {
    pub(crate) fn report(
        &self,
        peer: Option<Peer>,
        (received, delivered, lost): (Count, Count, Count),
        turned_away: TurnedAway,
    ) -> Report {
        Report {
            peer,
            reason: self.reason.clone(),
            handed_to_kernel: self.handed_to_kernel,
            unsent: self.unsent.clone(),
            rejected: self.rejected,
            dropped: self.dropped,
            truncated_sending: self.truncated_sending,
            received,
            delivered,
            lost,
            truncated_receiving: self.truncated_receiving,
            unterminated: self.unterminated,
            skipped: 0,
            shortened: 0,
            turned_away,
            descriptors: self.descriptors.clone(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: handed over {}, unsent {}", self.reason, self.handed_to_kernel, Count::of(&self.unsent))?;
        write!(f, "; received {}, delivered {}, lost {}", self.received, self.delivered, self.lost)?;
        if self.rejected > 0 {
            write!(f, "; refused {}", self.rejected)?;
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
        if !self.turned_away.is_empty() {
            write!(f, "; {}", self.turned_away)?;
        }
        if let Some(descriptors) = &self.descriptors {
            write!(f, "; descriptors: {descriptors}")?;
        }
        Ok(())
    }
}

/// Why a connection ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Both directions were closed in an orderly way: our own by the senders, who had finished, and everything that they
    /// had queued is written. Or every handle was dropped.
    Closed,
    /// The peer closed both directions before our senders had finished: a sender was alive, or frames were queued, which the
    /// report gives back. Nothing more could be written. Whether a peer may do that is for your protocol to say: a server
    /// that keeps a sender sees every client leave like this.
    HungUp,
    /// The socket failed: the peer reset it, or vanished while there was something to write.
    Failed(Arc<io::Error>),
    /// The peer broke the framing, or sent a packet over the limit.
    Malformed(frame_codec::Error),
    /// The socket that datagrams were sent to is gone: its process ended, restarted, or stopped receiving. A new
    /// connection may find a new one; [how to go on](crate::packet#when-the-receiver-of-datagrams-was-restarted).
    ReceiverGone,
    /// Descriptors and frames do not fit together, or could not be passed.
    Descriptors(Fault),
    /// The outbox was full, and [`Overflow::Disconnect`](crate::Overflow::Disconnect) was chosen for that case.
    Overflow,
    /// The peer sent nothing for longer than [`Actor::idle_timeout`](crate::Actor::idle_timeout) allows.
    Idle,
    /// The time to close or drain in ran out before the peer had done its part: read what was sent, closed its own
    /// direction, or paused.
    DeadlineExceeded,
    /// The time to close or drain in ran out while the inbox was full: our own receiver had not taken what was there, and
    /// what the peer would have done is not known.
    InboxFull,
    /// [`Control::abort`](crate::Control::abort), or the runtime was shut down.
    Aborted,
}

impl Reason {
    /// Why a connection ended whose time ran out; a full inbox keeps us from hearing whether the peer did its part.
    pub(crate) const fn at_deadline(is_full: bool) -> Self {
        if is_full { Self::InboxFull } else { Self::DeadlineExceeded }
    }

    /// A stream's failure; what ours has to say about descriptors comes in an `io::Error`, as everything from a stream.
    pub(crate) fn of(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Fault>()) {
            Some(fault) => Self::Descriptors(fault.clone()),
            None => Self::Failed(Arc::new(error)),
        }
    }

    /// Whether the other side caused an end that was not orderly.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        match self {
            Self::Failed(_)
            | Self::Malformed(_)
            | Self::ReceiverGone
            | Self::Overflow
            | Self::Idle
            | Self::DeadlineExceeded => true,
            Self::Descriptors(fault) => fault.is_peer_fault(),
            Self::Closed | Self::HungUp | Self::InboxFull | Self::Aborted => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::HungUp => f.write_str("the peer hung up"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Malformed(error) => write!(f, "malformed: {error}"),
            Self::ReceiverGone => f.write_str("the receiver of the datagrams is gone; connect again to find a new one"),
            Self::Descriptors(fault) => write!(f, "descriptors: {fault}"),
            Self::Overflow => f.write_str("the peer did not keep up"),
            Self::Idle => f.write_str("the peer was silent for too long"),
            Self::DeadlineExceeded => f.write_str("deadline exceeded"),
            Self::InboxFull => f.write_str("deadline exceeded while the receiver did not take what was there"),
            Self::Aborted => f.write_str("aborted"),
        }
    }
}
