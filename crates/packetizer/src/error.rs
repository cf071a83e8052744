//! How a call fails, and how a connection does.

use std::error::Error as StdError;

/// Why a call has no reply.
///
/// Two facts decide what a caller may do next, and both are questions here: may the peer have executed
/// the request ([`maybe_executed`](Self::maybe_executed)), and is trying again safe
/// ([`is_retryable`](Self::is_retryable)).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E: StdError + 'static> {
    /// The connection ended before the last byte of the request was handed to it.
    #[error("the connection ended before the request was sent")]
    NeverSent,
    /// The connection ended after the request was sent and before its reply came.
    #[error("the connection ended before the reply came; the request may have been executed")]
    MaybeExecuted,
    /// No more calls are taken on this connection: it is closing, or over.
    #[error("the connection takes no more requests; make them on another one")]
    Finished,
    /// The requests waiting to be sent fill the outbox.
    #[error(
        "{queued} bytes of requests wait to be sent and {len} more would exceed the limit of {max}; \
         wait for earlier replies"
    )]
    OutboxFull {
        /// Bytes waiting.
        queued: usize,
        /// Bytes of the request that was turned away.
        len: usize,
        /// The limit, [`Limits::max_outbox`](crate::Limits::max_outbox).
        max: usize,
    },
    /// Too many calls wait for their replies.
    #[error("{max} calls wait for their replies, which is the limit; wait for some of them")]
    TooManyCalls {
        /// The limit, [`Limits::max_calls`](crate::Limits::max_calls).
        max: usize,
    },
    /// The request is larger than the peer takes.
    #[error("the request has {len} bytes and the peer takes at most {max}")]
    TooLarge {
        /// Bytes of the request.
        len: usize,
        /// The limit, [`Limits::max_request`](crate::Limits::max_request).
        max: usize,
    },
    /// The request cannot be said in this protocol.
    #[error("the request cannot be encoded")]
    Encode(#[source] E),
    /// The reply came and makes no sense.
    #[error("the reply cannot be decoded")]
    Decode(#[source] E),
}

impl<E: StdError + 'static> Error<E> {
    /// Whether the peer may have executed the request.
    pub fn maybe_executed(&self) -> bool {
        match self {
            Self::MaybeExecuted | Self::Decode(_) => true,
            Self::NeverSent
            | Self::Finished
            | Self::OutboxFull { .. }
            | Self::TooManyCalls { .. }
            | Self::TooLarge { .. }
            | Self::Encode(_) => false,
        }
    }

    /// Whether the same request may succeed later, or on another connection, and cannot have been executed
    /// already.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NeverSent | Self::Finished | Self::OutboxFull { .. } | Self::TooManyCalls { .. } => true,
            Self::MaybeExecuted | Self::TooLarge { .. } | Self::Encode(_) | Self::Decode(_) => false,
        }
    }

    /// Whether the peer broke the protocol.
    pub fn is_peer_fault(&self) -> bool {
        match self {
            Self::Decode(_) => true,
            Self::NeverSent
            | Self::MaybeExecuted
            | Self::Finished
            | Self::OutboxFull { .. }
            | Self::TooManyCalls { .. }
            | Self::TooLarge { .. }
            | Self::Encode(_) => false,
        }
    }

    /// Whether the connection can still be used.
    pub fn peer_usable(&self) -> bool {
        match self {
            Self::NeverSent | Self::MaybeExecuted | Self::Finished => false,
            Self::OutboxFull { .. }
            | Self::TooManyCalls { .. }
            | Self::TooLarge { .. }
            | Self::Encode(_)
            | Self::Decode(_) => true,
        }
    }
}

/// What a peer did after which nobody can say any more which reply is whose. Always the peer's fault; the
/// connection must be given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault<E: StdError + 'static> {
    /// A frame that does not even say whom it is for.
    #[error("a frame of {len} bytes could not be classified")]
    Unclassified {
        /// Bytes in the frame.
        len: usize,
        /// What is wrong with it.
        #[source]
        source: E,
    },
    /// A reply carries another tag than the request it must answer.
    #[error("lane {lane}: a reply is tagged {found} where {expected} was due")]
    OutOfOrder {
        /// The queue, as its protocol prints it.
        lane: String,
        /// The tag of the oldest unanswered request.
        expected: String,
        /// The tag of the reply.
        found: String,
    },
    /// A reply came when no sent request waited for one.
    #[error("lane {lane}: a reply tagged {found} came and no request was waiting")]
    Unasked {
        /// The queue, as its protocol prints it.
        lane: String,
        /// The tag of the reply.
        found: String,
    },
    /// A frame came after the connection had been given up.
    #[error("a frame came after the connection was given up")]
    AfterEnd,
}
