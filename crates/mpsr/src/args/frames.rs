//! Where a message ends: options that `listen` and `send` share.

use std::sync::Arc;

use clap::{Args as ClapArgs, ValueEnum};
use frame_codec::{Delimited, Framing, LengthPrefixed, Raw, UntilEof};

use super::values::bytes;

#[derive(Debug, ClapArgs)]
pub(crate) struct Frames {
    /// Where one message ends and the next begins.
    #[arg(long, value_enum, default_value_t = FramingName::Lines)]
    pub(crate) framing: FramingName,
    /// The largest message in bytes. A producer that sends a larger one is cut off.
    #[arg(long, value_name = "BYTES", default_value_t = frame_codec::Limits::DEFAULT_MAX_FRAME, value_parser = bytes)]
    pub(crate) max_frame: usize,
}

impl Frames {
    pub(crate) fn limits(&self) -> frame_codec::Limits {
        frame_codec::Limits::default().with_max_frame(self.max_frame)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FramingName {
    /// Each line is a message; the last one need not be terminated.
    Lines,
    /// A length of four bytes, most significant first, then the message.
    U32be,
    /// Whatever arrives together is a message.
    Raw,
    /// All that a connection carries until its end is one message.
    UntilEof,
}

impl FramingName {
    pub(crate) fn framing(self) -> Arc<dyn Framing + Send + Sync> {
        match self {
            Self::Lines => Arc::new(Delimited::lines()),
            Self::U32be => Arc::new(LengthPrefixed::u32_be()),
            Self::Raw => Arc::new(Raw),
            Self::UntilEof => Arc::new(UntilEof),
        }
    }
}
