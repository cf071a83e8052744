//! Why a frame was not sent.

/// Why a frame was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The actor accepts no more frames: it was told to finish or close, or the peer is gone.
    #[error("the connection is closed for sending")]
    Closed,
    /// The framing cannot carry this payload.
    #[error(transparent)]
    Unsendable(frame_codec::EncodeError),
}

/// Why a frame was not queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// The outbox has no room now. The same frame may be accepted later.
    #[error("the outbox is full")]
    Full,
    /// The actor accepts no more frames: it was told to finish or close, or the peer is gone.
    #[error("the connection is closed for sending")]
    Closed,
    /// The framing cannot carry this payload.
    #[error(transparent)]
    Unsendable(frame_codec::EncodeError),
}

impl TrySendError {
    /// Whether the same frame may be accepted later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Full => true,
            Self::Closed | Self::Unsendable(_) => false,
        }
    }
}

impl From<SendError> for TrySendError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Closed => Self::Closed,
            SendError::Unsendable(error) => Self::Unsendable(error),
        }
    }
}

/// The connection ended before everything that was queued was handed to the kernel. The report contains the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection ended before everything was sent")]
pub struct FlushError;

impl From<FlushError> for SendError {
    fn from(_: FlushError) -> Self {
        Self::Closed
    }
}

impl From<FlushError> for TrySendError {
    fn from(_: FlushError) -> Self {
        Self::Closed
    }
}

/// A message that was not sent, and is given back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not sent")]
pub struct Unsent<T> {
    /// The message.
    pub message: T,
    /// The reason.
    #[source]
    pub reason: SendError,
}
