//! Why a connection ended.

use std::{error::Error, fmt, io, sync::Arc};

/// Why a connection ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Both directions were closed in an orderly way: our senders had finished, and everything that they had queued is
    /// written. Or every handle was dropped.
    Closed,
    /// The peer closed both directions before our senders had finished: a sender was alive, or frames were queued, which the
    /// report gives back. Nothing more could be written. Whether a peer may do that depends on your protocol: a server that
    /// keeps a sender sees every client leave like this.
    HungUp,
    /// The socket failed: the peer reset it, or vanished while there was something to write.
    Failed(Arc<io::Error>),
    /// The peer broke the framing, or sent a packet over the limit.
    Malformed(frame_codec::DecodeError),
    /// The socket that datagrams were sent to is gone: its process ended, restarted, or stopped receiving. A new
    /// connection may find a new one; [how to go on](crate::packet#when-the-receiver-of-datagrams-was-restarted).
    ReceiverGone,
    /// Data that travels beside the frames, such as [descriptors](crate::fds), does not fit them or could not be passed.
    Ancillary(AncillaryFault),
    /// The outbox was full, and [`Overflow::Disconnect`](crate::Overflow::Disconnect) was chosen for that case.
    Overflow,
    /// The peer sent nothing for longer than [`Actor::idle_timeout`](crate::Actor::idle_timeout) allows.
    Idle,
    /// The peer took nothing for longer than [`Actor::stall_timeout`](crate::Actor::stall_timeout) allows, while something
    /// waited to be written.
    Stalled,
    /// The time to close or drain ran out before the peer had done its part: read what was sent, closed its own direction,
    /// or paused.
    DeadlineExceeded,
    /// The time to close or drain ran out while the inbox was full: our own receiver had not taken what was there, so it is
    /// not known what the peer would have done.
    InboxFull,
    /// [`Control::abort`](crate::Control::abort) was called, or the runtime was shut down.
    Aborted,
}

impl Reason {
    pub(crate) fn failed(error: io::Error) -> Self {
        Self::Failed(Arc::new(error))
    }

    /// Why a connection ended whose time ran out. A full inbox keeps us from learning whether the peer did its part.
    pub(crate) const fn at_deadline(is_full: bool) -> Self {
        if is_full { Self::InboxFull } else { Self::DeadlineExceeded }
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

/// What went wrong with data that travels beside the frames. The module that passes the data defines the error:
/// [`fds::Fault`](crate::fds::Fault) for descriptors.
#[derive(Clone, Debug)]
pub struct AncillaryFault {
    /// What kind of data it was, for people.
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

    /// Whether the other side broke a rule.
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
