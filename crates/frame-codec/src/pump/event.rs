//! What a pump is told and has to say.

use std::io;

use crate::{Batch, Error};

/// What [`Pump::next`](super::Pump::next) has to say.
#[derive(Debug)]
#[non_exhaustive]
pub enum PumpEvent {
    /// Frames arrived.
    Batch(Batch),
    /// Much arrived (256 KiB) of a frame that is not complete: nothing to do, but a turn to look at something else.
    Partial,
    /// Everything that was pushed has been handed to the stream; there is room for more.
    Drained,
    /// Nothing more will be read. Writing may go on: the peer can have closed one direction only.
    End(End),
    /// [`Pump::finish`](super::Pump::finish) is done: everything is written and our direction is closed.
    Finished,
    /// Nothing more can be written. Reading may go on: what the peer sent before is still to come.
    WriteFailed(io::Error),
}

/// How the receiving direction ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// The peer closed in an orderly way.
    Eof {
        /// Bytes of a frame that was not complete; 0 if the stream ended between frames.
        truncated: usize,
    },
    /// The stream failed: a reset, most often.
    Failed {
        /// What the system said.
        error: io::Error,
        /// Bytes of a frame that was not complete.
        truncated: usize,
    },
    /// The peer broke the framing.
    Malformed {
        /// How.
        error: Error,
        /// Bytes that were received from the broken frame on.
        truncated: usize,
    },
}

/// Whether a call to [`Pump::poll_next`](super::Pump::poll_next) may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// Read if there is something.
    Open,
    /// Leave it in the kernel: the one who would take it has no room.
    Paused,
}
