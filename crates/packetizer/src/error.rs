//! How a call fails, and how a connection does.

use std::error::Error as StdError;

/// Why a call has no reply.
///
/// Two facts decide what a caller may do next, and there is a method for each: may the peer have executed the request
/// ([`maybe_executed`](Self::maybe_executed)), and is it safe to try again ([`is_retryable`](Self::is_retryable)).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E: StdError + 'static> {
    /// The connection ended before the last byte of the request was handed to it.
    #[error("the connection ended before the request was sent")]
    NeverSent,
    /// The connection ended after the request was sent and before its reply came.
    #[error("the connection ended before the reply came; the request may have been executed")]
    MaybeExecuted,
    /// The deadline passed. If the request cannot have been executed, it was withdrawn and is never sent.
    #[error("no reply came in time{}", if *maybe_executed { "; the request may have been executed" } else { "; the request was not sent" })]
    TimedOut {
        /// Whether the request went out, as a whole or in part, before the deadline.
        maybe_executed: bool,
    },
    /// No more calls are accepted on this connection: it is closing or has ended.
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
        /// Bytes of the request that was rejected.
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
    /// Another call with the same tag waits for its reply.
    #[error("another request with the same tag waits for its reply")]
    TagInUse,
    /// The request cannot be expressed in this protocol.
    #[error("the request cannot be encoded")]
    Encode(#[source] E),
    /// The framing cannot carry the request.
    #[error("the framing cannot carry the request")]
    Framing(#[source] frame_codec::EncodeError),
    /// The reply is over the limit. It was skipped, and the connection continues.
    #[error("the reply has {len} bytes and the limit is {max}; the request was executed")]
    ReplyTooLarge {
        /// Bytes of the reply.
        len: u64,
        /// The limit, [`max_frame`](frame_codec::Limits::max_frame) of the connection.
        max: usize,
    },
    /// The reply came but makes no sense.
    #[error("the reply cannot be decoded")]
    Decode(#[source] E),
}

impl<E: StdError + 'static> Error<E> {
    /// Whether the peer may have executed the request.
    pub const fn maybe_executed(&self) -> bool {
        match self {
            Self::MaybeExecuted | Self::ReplyTooLarge { .. } | Self::Decode(_) => true,
            Self::TimedOut { maybe_executed } => *maybe_executed,
            Self::NeverSent
            | Self::Finished
            | Self::OutboxFull { .. }
            | Self::TooManyCalls { .. }
            | Self::TooLarge { .. }
            | Self::TagInUse
            | Self::Encode(_)
            | Self::Framing(_) => false,
        }
    }

    /// Whether the same request may succeed later, or on another connection, and cannot have been executed already.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::NeverSent | Self::Finished | Self::OutboxFull { .. } | Self::TooManyCalls { .. } | Self::TagInUse => {
                true
            }
            Self::TimedOut { maybe_executed } => !*maybe_executed,
            Self::MaybeExecuted
            | Self::TooLarge { .. }
            | Self::Encode(_)
            | Self::Framing(_)
            | Self::ReplyTooLarge { .. }
            | Self::Decode(_) => false,
        }
    }

    /// Whether the peer broke the protocol.
    pub const fn is_peer_fault(&self) -> bool {
        match self {
            Self::Decode(_) => true,
            Self::NeverSent
            | Self::MaybeExecuted
            | Self::TimedOut { .. }
            | Self::Finished
            | Self::OutboxFull { .. }
            | Self::TooManyCalls { .. }
            | Self::TooLarge { .. }
            | Self::TagInUse
            | Self::Encode(_)
            | Self::Framing(_)
            | Self::ReplyTooLarge { .. } => false,
        }
    }

    /// Whether the connection can still be used.
    pub const fn peer_usable(&self) -> bool {
        match self {
            Self::NeverSent | Self::MaybeExecuted | Self::Finished => false,
            Self::TimedOut { .. }
            | Self::OutboxFull { .. }
            | Self::TooManyCalls { .. }
            | Self::TooLarge { .. }
            | Self::TagInUse
            | Self::Encode(_)
            | Self::Framing(_)
            | Self::ReplyTooLarge { .. }
            | Self::Decode(_) => true,
        }
    }
}

/// After this action of the peer, it is unknown which reply answers which request, or what state the session is in. It
/// is always the peer's fault, and the connection must end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault<E: StdError + 'static> {
    /// A frame that does not even show which request it answers.
    #[error("a frame of {len} bytes could not be classified")]
    Unclassified {
        /// Bytes in the frame.
        len: usize,
        /// What is wrong with it.
        #[source]
        source: E,
    },
    /// A reply has a different tag from the request that it must answer.
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
    #[error("{}a reply tagged {found} came and no request was waiting", lane_prefix(lane))]
    Unasked {
        /// The queue, as its protocol prints it; `None` if replies come in any order.
        lane: Option<String>,
        /// The tag of the reply.
        found: String,
    },
    /// A reply after which the session cannot go on.
    #[error("the session cannot go on after a reply")]
    Unsettled(#[source] E),
    /// A frame came after the connection had ended.
    #[error("a frame came after the connection was given up")]
    AfterEnd,
}

fn lane_prefix(lane: &Option<String>) -> String {
    lane.as_ref().map(|lane| format!("lane {lane}: ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    #[error("wrong")]
    struct Wrong;

    #[test]
    fn every_error_says_what_happened_to_the_request_and_to_the_connection() {
        // May have been executed, may be tried again, is the peer's fault, leaves the connection usable.
        for (error, expected) in [
            (Error::NeverSent, (false, true, false, false)),
            (Error::MaybeExecuted, (true, false, false, false)),
            (Error::TimedOut { maybe_executed: true }, (true, false, false, true)),
            (Error::TimedOut { maybe_executed: false }, (false, true, false, true)),
            (Error::Finished, (false, true, false, false)),
            (Error::OutboxFull { queued: 1, len: 2, max: 2 }, (false, true, false, true)),
            (Error::TooManyCalls { max: 1 }, (false, true, false, true)),
            (Error::TooLarge { len: 2, max: 1 }, (false, false, false, true)),
            (Error::TagInUse, (false, true, false, true)),
            (Error::Encode(Wrong), (false, false, false, true)),
            (Error::Framing(frame_codec::EncodeError::EmptyPayload), (false, false, false, true)),
            (Error::ReplyTooLarge { len: 2, max: 1 }, (true, false, false, true)),
            (Error::Decode(Wrong), (true, false, true, true)),
        ] {
            let found = (error.maybe_executed(), error.is_retryable(), error.is_peer_fault(), error.peer_usable());
            assert_eq!(found, expected, "{error:?}");
        }
    }

    #[test]
    fn a_fault_names_the_lane_if_there_is_one() {
        let unasked = |lane: Option<&str>| {
            Fault::<Wrong>::Unasked { lane: lane.map(str::to_owned), found: "7".to_owned() }.to_string()
        };
        assert_eq!(unasked(Some("control")), "lane control: a reply tagged 7 came and no request was waiting");
        assert_eq!(unasked(None), "a reply tagged 7 came and no request was waiting");
    }
}
