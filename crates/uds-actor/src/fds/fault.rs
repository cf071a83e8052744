//! Faults in the passing of descriptors.

use super::limits::MAX_PER_FRAME;
use crate::reason::{AncillaryFault, Reason};

/// Why a connection that passes descriptors could not continue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The kernel had descriptors for us and could not deliver all of them (`MSG_CTRUNC`). Those that arrived are
    /// closed.
    #[error(
        "the kernel could deliver only {arrived} of the descriptors: this process is at its limit of open files \
         (RLIMIT_NOFILE), raise it or hold fewer"
    )]
    Truncated {
        /// How many arrived.
        arrived: usize,
    },
    /// A frame announces a different number of descriptors than came with it.
    #[error("a frame announces {announced} descriptors and came with {arrived}")]
    Missing {
        /// The count in the frame.
        announced: usize,
        /// How many were attached to it.
        arrived: usize,
    },
    /// Descriptors arrived that no frame announces. They are closed.
    #[error("{count} descriptors came that no frame announces")]
    Unannounced {
        /// The number of descriptors.
        count: usize,
    },
    /// A frame does not begin with a count from 0 to 253: the peer does not use this protocol.
    #[error("a frame has no count of descriptors in front: both ends must pass descriptors")]
    NoCount,
    /// The peer does not accept descriptors. The frame was not sent.
    #[error("the peer takes no descriptors (SO_PASSRIGHTS): both ends must pass them")]
    Rejected,
    /// More descriptors of this user are in flight than one of its processes may have open. The frame was not sent.
    #[error(
        "too many descriptors of this user are sent and not received yet (ETOOMANYREFS): the limit is that of open files, \
         RLIMIT_NOFILE"
    )]
    InFlight,
}

impl Fault {
    /// Whether the peer violated the protocol.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Unannounced { .. } | Self::NoCount | Self::Rejected => true,
            Self::Truncated { .. } | Self::InFlight => false,
        }
    }

    pub(super) fn into_reason(self) -> Reason {
        let is_peer_fault = self.is_peer_fault();
        Reason::Ancillary(AncillaryFault::new("descriptors", self, is_peer_fault))
    }

    /// The count at the front of a frame.
    pub(super) fn count_of(frame: &[u8]) -> Result<usize, Self> {
        match frame.first() {
            Some(&count) if usize::from(count) <= MAX_PER_FRAME => Ok(usize::from(count)),
            _ => Err(Self::NoCount),
        }
    }
}
