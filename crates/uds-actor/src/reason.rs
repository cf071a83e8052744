//! Why a connection ended.

use std::{error::Error, fmt, io, sync::Arc};

/// Why a connection ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Both directions were closed normally: our senders had finished, and everything that they had queued was written.
    /// Or every handle was dropped.
    Closed,
    /// The peer closed both directions before our senders had finished: a sender still existed, or frames were queued,
    /// which the report contains. Nothing more could be written. Whether a peer may do this depends on your protocol: a
    /// server that keeps a sender sees every client leave like this.
    HungUp,
    /// The socket failed: the peer reset it, or vanished while there was something to write.
    Failed(Arc<io::Error>),
    /// The peer violated the framing, or sent a packet over the limit.
    Malformed(frame_codec::DecodeError),
    /// The receiving socket of datagrams is gone: its process ended, restarted, or stopped receiving. You may find a
    /// new one by [connecting again](crate::packet#when-the-receiver-of-datagrams-was-restarted).
    ReceiverGone,
    /// Data that accompanies the frames, such as [descriptors](crate::fds), does not match them or could not be passed.
    Ancillary(AncillaryFault),
    /// The outbox was full, and you had chosen [`Overflow::Disconnect`](crate::Overflow::Disconnect).
    Overflow,
    /// The peer sent nothing for longer than [`Actor::idle_timeout`](crate::Actor::idle_timeout) allows.
    Idle,
    /// The peer accepted nothing for longer than [`Actor::stall_timeout`](crate::Actor::stall_timeout) allows, while
    /// data waited to be written.
    Stalled,
    /// The deadline of a close or drain passed before the peer had done its part: read what was sent, closed its
    /// direction, or paused.
    DeadlineExceeded,
    /// The deadline of a close or drain passed while the inbox was full: our own receiver had not taken what was there,
    /// so we do not know what the peer would have done.
    InboxFull,
    /// [`Control::abort`](crate::Control::abort) was called, or the runtime was shut down.
    Aborted,
}

impl Reason {
    pub(crate) fn failed(error: io::Error) -> Self {
        Self::Failed(Arc::new(error))
    }

    /// The reason after a deadline has passed. With a full inbox, we cannot know whether the peer did its part.
    pub(crate) const fn at_deadline(is_full: bool) -> Self {
        if is_full { Self::InboxFull } else { Self::DeadlineExceeded }
    }

    /// Whether the peer caused an end that was not normal.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        match self {
            Self::Failed(_)
            | Self::Malformed(_)
            | Self::ReceiverGone
            | Self::Overflow
            | Self::Idle
            | Self::Stalled
            | Self::DeadlineExceeded => true,
            Self::Ancillary(fault) => fault.is_peer_fault(),
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
            Self::Ancillary(fault) => fault.fmt(f),
            Self::Overflow => f.write_str("the peer did not keep up"),
            Self::Idle => f.write_str("the peer was silent for too long"),
            Self::Stalled => f.write_str("the peer took nothing for too long"),
            Self::DeadlineExceeded => f.write_str("deadline exceeded"),
            Self::InboxFull => f.write_str("deadline exceeded while the receiver did not take what was there"),
            Self::Aborted => f.write_str("aborted"),
        }
    }
}

/// A fault in data that accompanies the frames. The module that passes the data defines the error:
/// [`fds::Fault`](crate::fds::Fault) for descriptors.
#[derive(Clone, Debug)]
pub struct AncillaryFault {
    /// The kind of data, for people.
    what: &'static str,
    error: Arc<dyn Error + Send + Sync>,
    is_peer_fault: bool,
}

impl AncillaryFault {
    pub(crate) fn new(what: &'static str, error: impl Error + Send + Sync + 'static, is_peer_fault: bool) -> Self {
        Self { what, error: Arc::new(error), is_peer_fault }
    }

    /// The error, if it is an `E`.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }

    /// Whether the peer violated the protocol.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        self.is_peer_fault
    }
}

impl fmt::Display for AncillaryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}
