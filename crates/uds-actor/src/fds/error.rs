//! Why a frame with descriptors was not sent.

use crate::error;

/// Why a frame with descriptors was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The actor accepts no more frames: it was told to finish or close, or the peer is gone.
    #[error("the connection is closed for sending")]
    Closed,
    /// The framing cannot carry this payload.
    #[error(transparent)]
    Unsendable(frame_codec::EncodeError),
    /// A frame cannot carry this many descriptors.
    #[error("a frame carries at most {max} descriptors, not {count}")]
    TooManyDescriptors {
        /// The number of descriptors passed.
        count: usize,
        /// The maximum: [`MAX_PER_FRAME`](super::MAX_PER_FRAME).
        max: usize,
    },
}

/// Why a frame with descriptors was not queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// There is no room now, for the bytes or for the descriptors. The same frame may be accepted later.
    #[error("the outbox is full")]
    Full,
    /// The frame can never be sent in this form.
    #[error(transparent)]
    Never(#[from] SendError),
}

impl From<error::SendError> for SendError {
    fn from(error: error::SendError) -> Self {
        match error {
            error::SendError::Closed => Self::Closed,
            error::SendError::Unsendable(error) => Self::Unsendable(error),
        }
    }
}

impl From<error::TrySendError> for TrySendError {
    fn from(error: error::TrySendError) -> Self {
        match error {
            error::TrySendError::Full => Self::Full,
            error::TrySendError::Closed => Self::Never(SendError::Closed),
            error::TrySendError::Unsendable(error) => Self::Never(SendError::Unsendable(error)),
        }
    }
}
