//! The options of `mpsr send`.

use std::{ffi::OsString, time::Duration};

use clap::Args as ClapArgs;
use uds_actor::Address;

use super::{
    binding::{Access, SocketFile},
    frames::Frames,
    framing::{Division, FramingName},
    values::{count, seconds},
};
use crate::address::Socket;

#[derive(Debug, ClapArgs)]
pub(crate) struct Send {
    /// The receiver's socket: a path, unix:/PATH or unix:@NAME. With --bind also systemd:NAME (a socket that the
    /// service manager passed).
    #[arg(value_name = "ADDRESS")]
    pub(crate) socket: Socket,
    /// The messages. Without any, send reads standard input and sends each line as a message, unless --framing says
    /// otherwise.
    #[arg(value_name = "MESSAGE")]
    pub(crate) messages: Vec<OsString>,
    #[command(flatten)]
    pub(crate) frames: Frames,
    /// Bind the address and send to the first receiver that connects, as producers in a watched directory do. A
    /// connection that ends before anything was sent is ignored.
    #[arg(long)]
    pub(crate) bind: bool,
    /// How long to wait for a receiver: 10s, 500ms, 2m. The default is not to wait, except for 0.2s if the receiver has
    /// just made its socket and does not listen yet. With --bind or --reconnect, the default is no limit.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) wait: Option<Duration>,
    /// Connect again and continue when the connection ends before the input does. A message that was handed over is
    /// never sent again, nor is a message that was handed over in part if a receiver may have taken the part for a
    /// message; then the exit status is 1.
    #[arg(long)]
    pub(crate) reconnect: bool,
    /// Give up when the receiver takes nothing for this long while data waits to be sent.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Send at most this many messages, then end.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) count: Option<u64>,
    /// Print at the end how much was sent.
    #[arg(long, short)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) file: SocketFile,
    #[command(flatten)]
    pub(crate) access: Access,
}

impl Send {
    /// Which of these options conflict, if any.
    pub(super) fn conflict(&self) -> Option<String> {
        let count = self.messages.len();
        if self.frames.framing == FramingName::UntilEof && count > 1 {
            return Some(format!("with --framing until-eof a connection carries one message, and {count} were given"));
        }
        if self.count.is_some() && count == 0 && self.frames.framing.division() == Division::None {
            return Some(
                "with --framing raw or until-eof, standard input is not divided into messages that --count could count"
                    .to_owned(),
            );
        }
        if let Address::Systemd(name) = &self.socket.0
            && !self.bind
        {
            return Some(format!(
                "systemd:{name} is a socket to accept connections on: add --bind to send to the first that connects"
            ));
        }
        if !self.bind
            && let Some(option) = self.file.given().or(self.access.given())
        {
            return Some(format!("{option} is about a socket that is bound: it goes with --bind"));
        }
        if !matches!(self.socket.0, Address::Path(_))
            && let Some(option) = self.file.given()
        {
            return Some(format!("{option} is about a socket file, and {} has none of ours", self.socket.0));
        }
        None
    }
}
