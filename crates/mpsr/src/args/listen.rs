//! The options of `mpsr listen`.

use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use frame_codec::Oversize;

use super::{
    binding::{Access, SocketFile},
    frames::Frames,
    framing::FramingName,
    values::{count, seconds},
};
use crate::address::Place;

#[derive(Debug, ClapArgs)]
pub(crate) struct Listen {
    /// Where messages come from: a path, unix:/PATH or unix:@NAME (bind and accept), systemd:NAME (a socket that the
    /// service manager passed), dir:/PATH or an existing directory (connect to every socket that appears there).
    #[arg(required = true, value_name = "ADDRESS")]
    pub(crate) places: Vec<Place>,
    #[command(flatten)]
    pub(crate) frames: Frames,
    /// What to do with a message that is larger than --max-frame. Skipped and shortened messages are counted.
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = OversizeName::Disconnect)]
    pub(crate) oversize: OversizeName,
    #[command(flatten)]
    pub(crate) print: Print,
    #[command(flatten)]
    pub(crate) end: End,
    #[command(flatten)]
    pub(crate) file: SocketFile,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) directories: Directories,
}

/// What to do with a message over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OversizeName {
    /// Disconnect its producer.
    Disconnect,
    /// Leave the message out. The connection continues.
    Skip,
    /// Keep its beginning, up to the limit, as the message. The connection continues.
    Shorten,
}

impl OversizeName {
    pub(crate) const fn policy(self) -> Oversize {
        match self {
            Self::Disconnect => Oversize::Disconnect,
            Self::Skip => Oversize::Skip,
            Self::Shorten => Oversize::Shorten,
        }
    }
}

/// What is printed, and how.
#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(next_help_heading = "Output")]
pub(crate) struct Print {
    /// Print one JSON object per line. The report, also an object, goes to standard error.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print only messages, without producers that join or leave, and without the report. Warnings are still printed.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Put the producer in front of each message: its number, then the name of its socket or its pid and uid.
    #[arg(long, conflicts_with = "json")]
    pub(crate) prefix: bool,
    /// Put the time in UTC in front of each message. With --json, it is the field "time" of each object.
    #[arg(long)]
    pub(crate) timestamps: bool,
    /// Do not add newlines to messages, so that the output has exactly the bytes that were sent. For --framing raw and
    /// until-eof. On a terminal, messages are still on separate lines.
    #[arg(long, conflicts_with_all = ["json", "prefix", "timestamps"])]
    pub(crate) no_newline: bool,
}

/// How connections are made.
#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(next_help_heading = "Directories")]
pub(crate) struct Directories {
    /// Connect again to a socket in a directory after its connection has ended, as long as its server listens.
    #[arg(long)]
    pub(crate) reconnect: bool,
}

/// When to end, other than by a signal.
#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(next_help_heading = "End")]
pub(crate) struct End {
    /// End after this many messages. Any that were received beyond them are reported as lost.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) count: Option<u64>,
    /// Receive from one connection, and end when it ends. A connection that sends nothing does not count. No other
    /// connection is read.
    #[arg(long)]
    pub(crate) once: bool,
    /// End when no message has arrived for this long (500ms, 10s, 2m). This is a failure if --count or --once was not
    /// reached.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// How long to go on receiving at the end what was sent before (500ms, 10s, 2m).
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = seconds)]
    pub(crate) drain: Duration,
}

impl Listen {
    /// The admitted users as words after an address; empty if only we and root are admitted.
    pub(crate) fn admitted(&self, has_file: bool) -> String {
        let Access { allow_uid, allow_gid, allow_any } = &self.access;
        let numbers = |what: &str, ids: &[u32]| ids.iter().map(|id| format!("{what} {id}")).collect::<Vec<_>>();
        let named = [numbers("uid", allow_uid), numbers("gid", allow_gid)].concat();
        let mode = self.file.mode.filter(|_| has_file).unwrap_or_default();
        match (named.is_empty(), *allow_any || mode.bits() & 0o002 != 0, mode.bits() & 0o020 != 0) {
            (false, ..) => format!(", admitting {}", named.join(", ")),
            (true, true, _) => ", admitting everyone".to_owned(),
            (true, false, true) => ", admitting the file's group".to_owned(),
            (true, false, false) => String::new(),
        }
    }

    /// Which of these options conflict, if any. An option that cannot have an effect is an error.
    pub(crate) fn conflict(&self) -> Option<String> {
        let mut places = self.places.iter().enumerate();
        if places.any(|(number, place)| self.places.iter().take(number).any(|earlier| earlier.is_same(place))) {
            return Some("the same ADDRESS is given twice".to_owned());
        }
        let has_file = self.places.iter().any(Place::has_file);
        if let Some(option) = self.file.given().filter(|_| !has_file) {
            return Some(format!("{option} is about socket files that are bound, and no ADDRESS is the path of one"));
        }
        if self.directories.reconnect && !self.places.iter().any(Place::is_directory) {
            return Some("--reconnect is about sockets in a directory, and no ADDRESS is one".to_owned());
        }
        let is_plain = matches!(self.frames.framing, FramingName::Raw | FramingName::UntilEof);
        if self.print.no_newline && !is_plain {
            return Some(
                "--no-newline is for --framing raw and until-eof; other messages would run together".to_owned(),
            );
        }
        let is_never_larger = matches!(self.frames.framing, FramingName::Raw | FramingName::Fixed(_));
        if self.oversize != OversizeName::Disconnect && is_never_larger {
            return Some(
                "no message of --framing raw or fixed:N is larger than --max-frame, so --oversize has no effect"
                    .to_owned(),
            );
        }
        None
    }
}
