//! What can be wrong with a frame: one error for reading, where the peer is at fault, and one for sending, where the caller is.

use std::io;

/// A frame that cannot be decoded. The peer caused it.
///
/// Every such error is final. A stream with broken framing cannot be resumed, because the bytes that follow may be payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The peer announced or sent a frame longer than the limit.
    #[error("frame of {len} bytes exceeds the limit of {max} bytes")]
    FrameTooLarge {
        /// Payload bytes announced; or received so far, if the framing announces no length.
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
    /// The stream ended normally inside a frame. Only what is told of the end returns this.
    #[error("stream ended inside a frame: {have} bytes arrived of at least {at_least}")]
    Truncated {
        /// Bytes that arrived of the frame, its header included.
        have: usize,
        /// The smallest size that the whole frame can have, judging by its beginning.
        at_least: usize,
    },
}

impl DecodeError {
    /// Whether a retry can succeed: on a new connection, a truncated frame may arrive complete. For every other error,
    /// the same bytes give the same result.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Truncated { .. } => true,
            Self::FrameTooLarge { .. } | Self::Malformed { .. } => false,
        }
    }
}

/// A payload that cannot be sent. It never reached the wire, so the connection can still be used; the same payload always
/// gives the same error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The payload is longer than the limit or than the header can express.
    #[error("payload of {len} bytes exceeds the limit of {max} bytes")]
    PayloadTooLarge {
        /// Bytes in the payload.
        len: usize,
        /// The most that may be sent.
        max: usize,
    },
    /// The payload contains the delimiter and would arrive as two frames.
    #[error("payload contains the frame delimiter at byte {at}")]
    DelimiterInPayload {
        /// Offset of the delimiter in the payload.
        at: usize,
    },
    /// The payload does not have the length that its framing, or its own length field, requires.
    #[error("payload of {len} bytes where the framing has {expected}")]
    WrongLength {
        /// Bytes in the payload.
        len: usize,
        /// The length that it must have; if its header is incomplete, the least length.
        expected: u64,
    },
    /// The payload is empty, and the framing cannot express that.
    #[error("empty payload, which the framing cannot express")]
    EmptyPayload,
}

/// For callers that use [`std::io`]: `UnexpectedEof` for a truncated frame, otherwise `InvalidData`. The original error is
/// inside ([`io::Error::get_ref`]).
impl From<DecodeError> for io::Error {
    fn from(error: DecodeError) -> Self {
        let kind = match &error {
            DecodeError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            DecodeError::FrameTooLarge { .. } | DecodeError::Malformed { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// For callers that use [`std::io`]: `InvalidInput`. The original error is inside ([`io::Error::get_ref`]).
impl From<EncodeError> for io::Error {
    fn from(error: EncodeError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}
