//! The command line.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::{Args as ClapArgs, CommandFactory as _, Parser, Subcommand, ValueEnum, error::ErrorKind};
use frame_codec::{Delimited, Framing, LengthPrefixed, Raw, UntilEof};
use uds_actor::{Admit, Mode};

use crate::address::{Place, Socket};

/// Many producers, one receiver, over Unix sockets.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit status: 0 done; 1 failed at run time; 2 wrong usage or a malformed address.\n\
                  Control characters in what others sent are escaped on a terminal, and nowhere else."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// The command line of this process. Where it is wrong, says why and ends the process with status 2.
    pub(crate) fn get() -> Self {
        let args = Self::parse();
        if let Command::Send(send) = &args.command
            && send.frames.framing == FramingName::UntilEof
            && send.messages.len() > 1
        {
            let count = send.messages.len();
            let why = format!("with --framing until-eof a connection carries one message, and {count} were given");
            Self::command().error(ErrorKind::TooManyValues, why).exit();
        }
        args
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Receive messages until interrupted, then print the account.
    ///
    /// On a terminal each message is printed behind the number of its producer; elsewhere it is printed as it came, a
    /// newline behind it. SIGINT and SIGTERM take in what has been sent so far, print the account to standard error and
    /// exit 0; a second one does not wait.
    Listen(Listen),
    /// Send messages: the arguments, or the lines of standard input.
    Send(Send),
    /// Show the sockets of a directory, now and as they come and go.
    ///
    /// Each line begins with a sign: "=" was there already, "+" has come, "!" somebody listens on it, "-" is gone, was
    /// replaced, or is stale (the file is there, nobody is behind it), "??" changes may be missed until "-- complete again".
    Watch(Watch),
    /// List the sockets of a directory, and who listens on each.
    ///
    /// A socket is live (somebody listens), full (live, its queue takes no more), bound (its owner does not listen yet), stale
    /// (nobody has it) or unknown. One that the kernel's table does not have is connected to, to tell a stale one from one in
    /// another network namespace. Only root sees the processes of others.
    Ls(Ls),
    /// Remove the sockets of a directory that are proven stale, and say of each other one why it is kept.
    ///
    /// Removed is what is old enough, belongs to this user or root, has no lock held beside it, is not in the kernel's
    /// table of sockets, and refuses a connection. Servers in other network namespaces are told by the connection alone.
    Sweep(Sweep),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Listen {
    /// Where messages come from: unix:/PATH and unix:@NAME (bind, accept), systemd:NAME (a passed socket), dir:/PATH
    /// (connect to every socket that appears there).
    #[arg(required = true, value_name = "ADDRESS")]
    pub(crate) places: Vec<Place>,
    #[command(flatten)]
    pub(crate) frames: Frames,
    /// Print one JSON object per line; the account goes to standard error as one more.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print messages only: not who joins and leaves, not the account.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Permissions of the sockets that are bound, in octal.
    #[arg(long, value_name = "OCTAL", default_value = "600", value_parser = mode)]
    pub(crate) mode: Mode,
    /// Admit this user id, besides one's own and root. May be repeated.
    #[arg(long, value_name = "UID")]
    allow_uid: Vec<u32>,
    /// Admit members of this group. May be repeated.
    #[arg(long, value_name = "GID")]
    allow_gid: Vec<u32>,
    /// At the end, how long to go on taking in what has been sent, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) drain: Duration,
}

impl Listen {
    pub(crate) fn admit(&self) -> Admit {
        let admit = self.allow_uid.iter().fold(Admit::own(), |admit, uid| admit.uid(*uid));
        self.allow_gid.iter().fold(admit, |admit, gid| admit.gid(*gid))
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Send {
    /// The receiver's socket: unix:/PATH or unix:@NAME.
    #[arg(value_name = "ADDRESS")]
    pub(crate) socket: Socket,
    /// One message each; without any, each line of standard input is one.
    #[arg(value_name = "MESSAGE")]
    pub(crate) messages: Vec<String>,
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

#[derive(Debug, ClapArgs)]
pub(crate) struct Watch {
    /// The directory, with or without "dir:" in front.
    #[arg(value_name = "DIR", value_parser = directory)]
    pub(crate) directory: PathBuf,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ls {
    /// The directory, with or without "dir:" in front.
    #[arg(value_name = "DIR", value_parser = directory)]
    pub(crate) directory: PathBuf,
    /// Connect to nothing: what the kernel's table does not have is "unknown".
    #[arg(long)]
    pub(crate) no_connect: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Sweep {
    /// The directory, with or without "dir:" in front.
    #[arg(value_name = "DIR", value_parser = directory)]
    pub(crate) directory: PathBuf,
    /// Only say what would be removed.
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Keep what was made or changed less than so long ago, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) min_age: Duration,
    /// Remove sockets of every user, and not only one's own and root's.
    #[arg(long)]
    pub(crate) any_owner: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}

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
    pub(crate) fn framing(self) -> Arc<dyn Framing + std::marker::Send + Sync> {
        match self {
            Self::Lines => Arc::new(Delimited::lines()),
            Self::U32be => Arc::new(LengthPrefixed::u32_be()),
            Self::Raw => Arc::new(Raw),
            Self::UntilEof => Arc::new(UntilEof),
        }
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    Mode::octal(text).map_err(|error| error.to_string())
}

fn bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a message has at least one byte".to_owned()),
        parsed => parsed.map_err(|_| "not a number of bytes".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::try_from_secs_f64)
        .map_err(|_| "not a number of seconds".to_owned())?
        .map_err(|error| error.to_string())
}

fn directory(text: &str) -> Result<PathBuf, String> {
    match text.strip_prefix("dir:").unwrap_or(text) {
        "" => Err("an empty path".to_owned()),
        path => Ok(path.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn malformed_values_are_refused_with_a_reason() {
        for line in [
            "mpsr listen /tmp/x.sock",
            "mpsr listen unix:",
            "mpsr listen",
            "mpsr listen unix:/x --mode 888",
            "mpsr listen unix:/x --max-frame 0",
            "mpsr send dir:/tmp",
            "mpsr send unix:/x --wait -1",
            "mpsr watch dir:",
            "mpsr ls",
            "mpsr ls dir:",
            "mpsr sweep",
            "mpsr sweep /tmp --min-age soon",
            "mpsr sweep /tmp --min-age -1",
            "mpsr listen unix:/x --framing csv",
        ] {
            let parsed = Args::try_parse_from(line.split(' '));
            assert!(parsed.is_err(), "{line}");
        }
    }
}
