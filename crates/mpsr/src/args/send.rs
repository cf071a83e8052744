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
    /// The receiver's socket: a path, unix:/PATH or unix:@NAME. With --bind, also systemd:NAME (a passed socket).
    #[arg(value_name = "ADDRESS")]
    pub(crate) socket: Socket,
    /// One message each; without any, standard input is sent, as a rule each line as a message.
    #[arg(value_name = "MESSAGE")]
    pub(crate) messages: Vec<OsString>,
    #[command(flatten)]
    pub(crate) frames: Frames,
    /// Bind the address and send to the first that connects, as a producer in a watched directory does. A connection that
    /// hangs up before anything was sent is ignored.
    #[arg(long)]
    pub(crate) bind: bool,
    /// How long to wait for a receiver: 10s, 500ms, 2m. Without it: 0.2s if it has just made its socket and does not
    /// listen yet, otherwise not at all; with --bind or --reconnect without limit.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) wait: Option<Duration>,
    /// When the connection ends before the input does, connect again and go on. What was handed over is never sent
    /// again, nor is a message of which a part was, if a receiver may have taken that part for a message; exit status 1
    /// then says so.
    #[arg(long)]
    pub(crate) reconnect: bool,
    /// Give up when the receiver takes nothing for this long while something is waiting to be sent.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Send this many messages at most, then end.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) count: Option<u64>,
    /// Say at the end how much was sent.
    #[arg(long, short)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) file: SocketFile,
    #[command(flatten)]
    pub(crate) access: Access,
}

impl Send {
    /// What is wrong with these options together, if anything.
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
