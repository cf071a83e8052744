//! What can be wrong with a frame, and whose fault it is.

use std::io;

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
    /// The stream ended in an orderly way inside a frame.
    #[error("stream ended inside a frame: {have} bytes arrived of at least {at_least}")]
    Truncated {
        /// Bytes that arrived of the frame, its header included.
        have: usize,
        /// The fewest the whole frame can have had, as far as its beginning tells.
        at_least: usize,
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
    /// A payload handed in for sending has another length than its framing, or its own length field, gives it.
    #[error("payload of {len} bytes where the framing has {expected}")]
    WrongLength {
        /// Bytes in the payload.
        len: usize,
        /// Bytes it would have to have: at least, if that is the length of a header it lacks.
        expected: u64,
    },
    /// A payload handed in for sending is empty, and the framing has no way to write that.
    #[error("empty payload, which the framing cannot express")]
    EmptyPayload,
}

impl Error {
    /// Whether the other side caused it; otherwise the caller handed in something that cannot be sent.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        match self {
            Self::FrameTooLarge { .. } | Self::Malformed { .. } | Self::Truncated { .. } => true,
            Self::PayloadTooLarge { .. }
            | Self::DelimiterInPayload { .. }
            | Self::WrongLength { .. }
            | Self::EmptyPayload => false,
        }
    }

    /// Whether the connection may go on being used.
    ///
    /// A payload that was refused never reached the wire; a frame that could not be read leaves no place to go on from.
    #[must_use]
    pub const fn peer_usable(&self) -> bool {
        match self {
            Self::FrameTooLarge { .. } | Self::Malformed { .. } | Self::Truncated { .. } => false,
            Self::PayloadTooLarge { .. }
            | Self::DelimiterInPayload { .. }
            | Self::WrongLength { .. }
            | Self::EmptyPayload => true,
        }
    }

    /// Whether doing the same again can end differently: on a new connection, a frame that was cut may arrive whole.
    /// Otherwise the same bytes are the same frame.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Truncated { .. } => true,
            Self::FrameTooLarge { .. }
            | Self::Malformed { .. }
            | Self::PayloadTooLarge { .. }
            | Self::DelimiterInPayload { .. }
            | Self::WrongLength { .. }
            | Self::EmptyPayload => false,
        }
    }
}

/// For callers that speak [`std::io`]: `UnexpectedEof` for a cut frame, `InvalidData` for other faults of the peer,
/// `InvalidInput` for a payload that cannot be sent. The original is inside ([`io::Error::get_ref`]).
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            Error::FrameTooLarge { .. } | Error::Malformed { .. } => io::ErrorKind::InvalidData,
            Error::PayloadTooLarge { .. }
            | Error::DelimiterInPayload { .. }
            | Error::WrongLength { .. }
            | Error::EmptyPayload => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}
