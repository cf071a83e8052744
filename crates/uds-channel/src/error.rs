//! What can go wrong on a channel, one type for each kind of call: which side caused it, and what still works.

use std::{io, time::Duration};

use super::codec::BoxError;

/// Why a message was not sent, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The codec has no bytes for this message; nothing was queued.
    #[error("this message cannot be encoded")]
    Encode {
        /// What the codec said.
        source: BoxError,
    },
    /// The message is larger than the sending buffer may be; nothing was queued.
    #[error("a message of {len} bytes where {max} can be sent; give the channel a larger sending buffer")]
    TooLarge {
        /// Its bytes, without the length in front.
        len: usize,
        /// The most there may be.
        max: usize,
    },
    /// The message does not fit beside what is queued; nothing of it was. Calls that wait wait for room instead.
    #[error("{queued} of {max} bytes are queued already; send again when the socket has taken some")]
    Full {
        /// Bytes that wait to be written.
        queued: usize,
        /// The most that may wait.
        max: usize,
    },
    /// The time was over before there was room for the message; nothing is lost or queued.
    #[error("timed out after {after:?}")]
    TimedOut {
        /// The time that was given.
        after: Duration,
    },
    /// The time was over with the message queued and not all of it written. Do not send it again: what is left goes out
    /// with whatever the channel does next.
    #[error("timed out after {after:?} with {left} bytes still to be written")]
    Unfinished {
        /// The time that was given.
        after: Duration,
        /// Bytes that are queued.
        left: usize,
    },
    /// The message is queued, and for want of memory in the kernel it could not be waited until all of it is written. Do not
    /// send it again: what is left goes out with whatever the channel does next.
    #[error("short of memory with {left} bytes still to be written")]
    Stalled {
        /// Bytes that are queued.
        left: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// Our direction was closed with `finish`.
    #[error("our direction is closed")]
    Finished,
    /// What was queued before could not be written; nothing of this message was queued. Or the connection broke with it.
    #[error(transparent)]
    Flush(#[from] FlushError),
}

impl SendError {
    /// Whether more can be sent. Receiving is a matter of its own.
    #[must_use]
    pub fn peer_usable(&self) -> bool {
        match self {
            Self::Encode { .. }
            | Self::TooLarge { .. }
            | Self::Full { .. }
            | Self::TimedOut { .. }
            | Self::Unfinished { .. }
            | Self::Stalled { .. } => true,
            Self::Finished => false,
            Self::Flush(error) => error.is_retryable(),
        }
    }

    /// Whether the same call can succeed later. False where it would do a second time what was half done.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Full { .. } | Self::TimedOut { .. } => true,
            Self::Encode { .. }
            | Self::TooLarge { .. }
            | Self::Unfinished { .. }
            | Self::Stalled { .. }
            | Self::Finished => false,
            Self::Flush(error) => error.is_retryable(),
        }
    }
}

/// Why what is queued could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// Writing failed.
    #[error("could not send, with {left} bytes still to be written")]
    Send {
        /// Bytes that are queued.
        left: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// Waiting failed, or reading what the peer sent meanwhile: the machine is out of memory.
    #[error("could not wait for the socket")]
    Wait {
        /// What the kernel said.
        source: io::Error,
    },
}

impl FlushError {
    /// Whether the kernel only lacks memory. If so, the next call writes what is left; if not, nothing can be sent any more.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Send { source, .. } => passes(source),
            Self::Wait { .. } => true,
        }
    }

    /// The same for a call whose message is among the `left` bytes that are queued: another call would send it twice.
    pub(super) fn once_queued(self, left: usize) -> SendError {
        if !self.is_retryable() {
            return self.into();
        }
        match self {
            Self::Send { source, .. } | Self::Wait { source } => SendError::Stalled { left, source },
        }
    }
}

/// Why no message was received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The time was over before a message was there; nothing is lost.
    #[error("timed out after {after:?}")]
    TimedOut {
        /// The time that was given.
        after: Duration,
    },
    /// The peer's bytes are no message for this codec. They are gone; the next message can be received.
    #[error("a message of {len} bytes could not be decoded")]
    Decode {
        /// How many bytes.
        len: usize,
        /// What the codec said.
        source: BoxError,
    },
    /// The peer has closed its direction, and every message of it was received. It may still be reading.
    #[error("the peer has closed its direction")]
    Ended,
    /// The stream ended in the middle of a message.
    #[error("the stream ended with {have} bytes of a message, where at least {need} belong to it")]
    Truncated {
        /// Bytes that arrived, the length included.
        have: usize,
        /// Bytes that it has at least.
        need: usize,
    },
    /// The length in front of a message is impossible or over the limit, so it is not known where the next message begins.
    #[error("the stream cannot be read on")]
    Malformed {
        /// What is wrong with it.
        source: frame_codec::Error,
    },
    /// Receiving failed.
    #[error("could not receive")]
    Receive {
        /// What the kernel said.
        source: io::Error,
    },
    /// Waiting failed: the machine is out of memory.
    #[error("could not wait for the socket")]
    Wait {
        /// What the kernel said.
        source: io::Error,
    },
}

impl RecvError {
    /// Whether the process at the other end broke a rule.
    #[must_use]
    pub fn is_peer_fault(&self) -> bool {
        self.disposition().peer_fault
    }

    /// Whether more can be received. Sending is a matter of its own.
    #[must_use]
    pub fn peer_usable(&self) -> bool {
        self.disposition().peer_usable
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.disposition().retryable
    }

    /// Every error's answers, in one table without a wildcard: a new error does not compile without them.
    fn disposition(&self) -> Disposition {
        const OVER: Disposition = Disposition { peer_fault: false, peer_usable: false, retryable: false };
        const PASSES: Disposition = Disposition { peer_usable: true, retryable: true, ..OVER };
        match self {
            Self::TimedOut { .. } | Self::Wait { .. } => PASSES,
            // The frame is done with, and the next one begins where it should.
            Self::Decode { .. } => Disposition { peer_fault: true, peer_usable: true, ..OVER },
            Self::Ended => OVER,
            Self::Truncated { .. } | Self::Malformed { .. } => Disposition { peer_fault: true, ..OVER },
            Self::Receive { source } if passes(source) => PASSES,
            Self::Receive { .. } => OVER,
        }
    }
}

/// The answers to a caller's three questions.
#[derive(Clone, Copy, Debug)]
struct Disposition {
    peer_fault: bool,
    peer_usable: bool,
    retryable: bool,
}

/// Whether it is only memory that the kernel lacks.
pub(super) fn passes(source: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(source), Some(Errno::NOMEM | Errno::NOBUFS))
}
