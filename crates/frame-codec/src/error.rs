//! What can be wrong with a frame, and whose fault it is.

/// A frame that cannot be decoded or encoded.
///
/// While decoding, every error is final: a stream whose framing is broken has no place to resume from, because the
/// bytes that follow may be payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer announced or sent a frame longer than the limit.
    #[error("frame of {len} bytes exceeds the limit of {max} bytes")]
    FrameTooLarge {
        /// Payload bytes announced, or received so far where the framing announces nothing.
        len: u64,
        /// The limit in force, in payload bytes.
        max: usize,
    },
    /// The peer sent a header that this framing never produces.
    #[error("malformed frame header: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A payload handed in for sending is longer than the limit or than the header can say.
    #[error("payload of {len} bytes exceeds the limit of {max} bytes")]
    PayloadTooLarge {
        /// Bytes in the payload.
        len: usize,
        /// The most that may be sent.
        max: usize,
    },
    /// A payload handed in for sending contains the delimiter and would arrive as two frames.
    #[error("payload contains the frame delimiter at byte {at}")]
    DelimiterInPayload {
        /// Offset of the delimiter in the payload.
        at: usize,
    },
}

impl Error {
    /// Whether the other side caused it; otherwise the caller handed in something that cannot be sent.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        match self {
            Self::FrameTooLarge { .. } | Self::Malformed { .. } => true,
            Self::PayloadTooLarge { .. } | Self::DelimiterInPayload { .. } => false,
        }
    }

    /// Whether the connection may go on being used.
    ///
    /// A payload that was refused never reached the wire; a frame that could not be read leaves no place to go on from.
    #[must_use]
    pub const fn peer_usable(&self) -> bool {
        match self {
            Self::FrameTooLarge { .. } | Self::Malformed { .. } => false,
            Self::PayloadTooLarge { .. } | Self::DelimiterInPayload { .. } => true,
        }
    }

    /// Whether doing the same again can end differently. It never can: the same bytes are the same frame.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::FrameTooLarge { .. }
            | Self::Malformed { .. }
            | Self::PayloadTooLarge { .. }
            | Self::DelimiterInPayload { .. } => false,
        }
    }
}
