//! What can be wrong with a frame, and which side is at fault.

use std::io;

/// A frame that cannot be decoded or encoded.
///
/// While decoding, every error is final. A stream with broken framing cannot be resumed, because the bytes that follow
/// may be payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
    /// The stream ended normally inside a frame.
    #[error("stream ended inside a frame: {have} bytes arrived of at least {at_least}")]
    Truncated {
        /// Bytes that arrived of the frame, its header included.
        have: usize,
        /// The smallest size that the whole frame can have, judging by its beginning.
        at_least: usize,
    },
    /// A payload for sending is longer than the limit or than the header can express.
    #[error("payload of {len} bytes exceeds the limit of {max} bytes")]
    PayloadTooLarge {
        /// Bytes in the payload.
        len: usize,
        /// The most that may be sent.
        max: usize,
    },
    /// A payload for sending contains the delimiter and would arrive as two frames.
    #[error("payload contains the frame delimiter at byte {at}")]
    DelimiterInPayload {
        /// Offset of the delimiter in the payload.
        at: usize,
    },
    /// A payload for sending does not have the length that its framing, or its own length field, requires.
    #[error("payload of {len} bytes where the framing has {expected}")]
    WrongLength {
        /// Bytes in the payload.
        len: usize,
        /// The length that it must have; if its header is incomplete, the least length.
        expected: u64,
    },
    /// A payload for sending is empty, and the framing cannot express that.
    #[error("empty payload, which the framing cannot express")]
    EmptyPayload,
}

impl Error {
    /// Whether the peer caused the error. Otherwise the caller passed something that cannot be sent.
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

    /// Whether you can continue to use the connection.
    ///
    /// A rejected payload never reached the wire, so you can. After a frame that cannot be read, you cannot.
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

    /// Whether a retry can succeed: on a new connection, a truncated frame may arrive complete. For every other error,
    /// the same bytes give the same result.
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

/// For callers that use [`std::io`]: `UnexpectedEof` for a truncated frame, `InvalidData` for other faults of the peer,
/// `InvalidInput` for a payload that cannot be sent. The original error is inside ([`io::Error::get_ref`]).
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
