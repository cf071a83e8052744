//! The errors of a channel, one type for each kind of call: which side caused them, and what still works.

use std::{io, time::Duration};

use super::codec::BoxError;

/// Why a message was not sent, or not completely.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The codec cannot encode this message. Nothing was queued.
    #[error("this message cannot be encoded")]
    Encode {
        /// The codec's error.
        source: BoxError,
    },
    /// The message exceeds the limit of the sending buffer. Nothing was queued.
    #[error("a message of {len} bytes where {max} can be sent; give the channel a larger sending buffer")]
    TooLarge {
        /// Length of the message in bytes, without its length prefix.
        len: usize,
        /// The maximum.
        max: usize,
    },
    /// The message does not fit into the buffer beside what is queued. Nothing of it was queued. Only calls for an event
    /// loop return this: the others wait for room.
    #[error("{queued} of {max} bytes are queued already; send again when the socket has taken some")]
    Full {
        /// Bytes that wait to be written.
        queued: usize,
        /// The limit of the buffer.
        max: usize,
    },
    /// The time limit passed before there was room for the message. Nothing was lost or queued. Only `send_timeout` returns this.
    #[error("timed out after {after:?}")]
    TimedOut {
        /// The time limit.
        after: Duration,
    },
    /// The time limit passed when the message was queued and not completely written. Do not send it again: the rest
    /// goes out with the next call on the channel. Only `send_timeout` returns this.
    #[error("timed out after {after:?} with {left} bytes still to be written")]
    Unfinished {
        /// The time limit.
        after: Duration,
        /// Bytes that are still queued.
        left: usize,
    },
    /// The message is queued, but the kernel's lack of memory kept us from waiting until it was written. Do not send it
    /// again: the rest goes out with the next call on the channel.
    #[error("short of memory with {left} bytes still to be written")]
    Stalled {
        /// Bytes that are still queued.
        left: usize,
        /// The operating system's error.
        source: io::Error,
    },
    /// Our direction was closed with `finish`.
    #[error("our direction is closed")]
    Finished,
    /// Writing what was queued before failed, and nothing of this message was queued; or the connection broke while it
    /// was written.
    #[error(transparent)]
    Flush(#[from] FlushError),
}

impl SendError {
    /// Whether you can still send. Receiving does not depend on this.
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

    /// Whether the same call can succeed later. False if it would repeat something that was half done.
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
        /// Bytes that are still queued.
        left: usize,
        /// The operating system's error.
        source: io::Error,
    },
    /// Waiting failed, or reading what the peer sent in the meantime: the machine is out of memory, or the runtime is
    /// shutting down.
    #[error("could not wait for the socket")]
    Wait {
        /// The operating system's error.
        source: io::Error,
    },
}

impl FlushError {
    /// Whether the kernel only lacks memory. If so, the next call writes the rest; otherwise you cannot send any more.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Send { source, .. } => passes(source),
            Self::Wait { .. } => true,
        }
    }

    /// The same for a call whose message is among the `left` queued bytes: repeating the call would send it twice.
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
    /// The time limit passed before a message arrived. Nothing was lost. Only `recv_timeout` returns this.
    #[error("timed out after {after:?}")]
    TimedOut {
        /// The time limit.
        after: Duration,
    },
    /// The codec cannot decode the bytes that the peer sent. They are discarded, and you can receive the next message.
    #[error("a message of {len} bytes could not be decoded")]
    Decode {
        /// Length of the message in bytes.
        len: usize,
        /// The codec's error.
        source: BoxError,
    },
    /// The peer has closed its direction, and you have received all of its messages. It may still be reading.
    #[error("the peer has closed its direction")]
    Ended,
    /// The stream ended in the middle of a message.
    #[error("the stream ended with {have} bytes of a message, where at least {need} belong to it")]
    Truncated {
        /// Bytes that arrived, including the length prefix.
        have: usize,
        /// The minimum length of the message in bytes.
        need: usize,
    },
    /// The length prefix of a message is impossible or over the limit, so we do not know where the next message begins.
    #[error("the stream cannot be read on")]
    Malformed {
        /// What is wrong with it.
        source: frame_codec::DecodeError,
    },
    /// Receiving failed.
    #[error("could not receive")]
    Receive {
        /// The operating system's error.
        source: io::Error,
    },
    /// Waiting failed: the machine is out of memory, or the runtime is shutting down. Not from the calls for an event loop.
    #[error("could not wait for the socket")]
    Wait {
        /// The operating system's error.
        source: io::Error,
    },
}

impl RecvError {
    /// Whether the peer violated the protocol.
    #[must_use]
    pub fn is_peer_fault(&self) -> bool {
        self.disposition().peer_fault
    }

    /// Whether you can still receive. Sending does not depend on this.
    #[must_use]
    pub fn peer_usable(&self) -> bool {
        self.disposition().peer_usable
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.disposition().retryable
    }

    /// The answers for every error, in one table without a wildcard: a new variant must be added here.
    fn disposition(&self) -> Disposition {
        const OVER: Disposition = Disposition { peer_fault: false, peer_usable: false, retryable: false };
        const PASSES: Disposition = Disposition { peer_usable: true, retryable: true, ..OVER };
        match self {
            Self::TimedOut { .. } | Self::Wait { .. } => PASSES,
            // The frame has been consumed, and the next one begins where it should.
            Self::Decode { .. } => Disposition { peer_fault: true, peer_usable: true, ..OVER },
            Self::Ended => OVER,
            Self::Truncated { .. } | Self::Malformed { .. } => Disposition { peer_fault: true, ..OVER },
            Self::Receive { source } if passes(source) => PASSES,
            Self::Receive { .. } => OVER,
        }
    }
}

/// The answers to the three questions of a caller.
#[derive(Clone, Copy, Debug)]
struct Disposition {
    peer_fault: bool,
    peer_usable: bool,
    retryable: bool,
}

/// Whether the kernel only lacks memory.
pub(super) fn passes(source: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(source), Some(Errno::NOMEM | Errno::NOBUFS))
}
