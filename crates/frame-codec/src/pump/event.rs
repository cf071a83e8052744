//! Input and output of a pump.

use std::io;

use crate::{Batch, DecodeError};

/// What [`Pump::next`](super::Pump::next) returns.
#[derive(Debug)]
#[non_exhaustive]
pub enum PumpEvent {
    /// Frames arrived.
    Batch(Batch),
    /// Much (256 KiB) of an incomplete frame has arrived. You need not do anything; this gives you a chance to do other
    /// work.
    Partial,
    /// Everything that was pushed has been handed to the stream; there is room for more.
    Drained,
    /// Nothing more will be read. Writing may continue: the peer may have closed only its direction.
    End(End),
    /// [`Pump::finish`](super::Pump::finish) is done: everything is written and our direction is closed.
    Finished,
    /// Nothing more can be written. Reading may continue: what the peer sent before can still arrive.
    WriteFailed(io::Error),
}

/// How the receiving direction ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// The peer closed normally.
    Eof {
        /// Bytes of an incomplete frame; 0 if the stream ended between frames.
        truncated: usize,
    },
    /// The stream failed, usually with a reset.
    Failed {
        /// The error from the system.
        error: io::Error,
        /// Bytes of an incomplete frame.
        truncated: usize,
    },
    /// The peer broke the framing.
    Malformed {
        /// How.
        error: DecodeError,
        /// Bytes received from the beginning of the broken frame.
        truncated: usize,
    },
}

/// Whether a call to [`Pump::poll_next`](super::Pump::poll_next) may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// Read what is there.
    Open,
    /// Leave it in the kernel, because the receiver has no room.
    Paused,
}
