//! The options of `mpsr send`.

use std::{ffi::OsString, time::Duration};

use clap::Args as ClapArgs;

use super::{frames::Frames, values::seconds};
use crate::address::Socket;

#[derive(Debug, ClapArgs)]
pub(crate) struct Send {
    /// The receiver's socket: unix:/PATH or unix:@NAME.
    #[arg(value_name = "ADDRESS")]
    pub(crate) socket: Socket,
    /// One message each; without any, each line of standard input is one.
    #[arg(value_name = "MESSAGE")]
    pub(crate) messages: Vec<OsString>,
    #[command(flatten)]
    pub(crate) frames: Frames,
    /// Bind the address and send to the first who connects, as a producer in a watched directory does.
    #[arg(long)]
    pub(crate) bind: bool,
    /// How long to wait for somebody at the other end, in seconds. Without it: not at all, or with --bind for ever.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) wait: Option<Duration>,
    /// Say at the end how much was sent.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}
