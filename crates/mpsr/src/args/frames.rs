//! How messages are separated: options that `listen` and `send` share.

use clap::Args as ClapArgs;

use super::{
    framing::{FramingName, FramingParser},
    values::bytes,
};

#[derive(Debug, ClapArgs)]
pub(crate) struct Frames {
    /// The framing: where one message ends and the next begins.
    #[arg(long, value_name = "FRAMING", default_value = "lines", value_parser = FramingParser)]
    pub(crate) framing: FramingName,
    /// The largest message, in bytes (500, 64k, 1m). By default a larger one is an error.
    #[arg(long, value_name = "SIZE", default_value_t = frame_codec::Limits::DEFAULT_MAX_FRAME, value_parser = bytes)]
    pub(crate) max_frame: usize,
}

impl Frames {
    pub(crate) fn limits(&self) -> frame_codec::Limits {
        frame_codec::Limits::default().with_max_frame(self.max_frame)
    }

    /// Which of these options conflict, if any.
    pub(crate) fn conflict(&self) -> Option<String> {
        if self.max_frame > frame_codec::Limits::LARGEST_MAX_FRAME {
            return Some("--max-frame is at most 1g".to_owned());
        }
        match self.framing {
            FramingName::Fixed(len) if len > self.max_frame => Some(format!(
                "messages of --framing fixed:{len} are larger than --max-frame {}; set --max-frame {len}",
                self.max_frame
            )),
            _ => None,
        }
    }
}
