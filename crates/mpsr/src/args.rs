//! The command line.

mod frames;
mod framing;
mod listen;
mod ls;
mod send;
mod sweep;
mod values;
mod watch;

use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};

use self::frames::Frames;
pub(crate) use self::{
    framing::{Division, FramingName},
    listen::{End, Listen, Print},
    ls::Ls,
    send::Send,
    sweep::Sweep,
    watch::Watch,
};

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
        let frames = match &args.command {
            Command::Listen(listen) => Some(&listen.frames),
            Command::Send(send) => Some(&send.frames),
            _ => None,
        };
        let listen = match &args.command {
            Command::Listen(listen) => listen.conflict(),
            _ => None,
        };
        if let Some(why) = frames.and_then(Frames::conflict).or(listen) {
            Self::command().error(ErrorKind::ArgumentConflict, why).exit();
        }
        args
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Receive messages until interrupted, then print the report.
    ///
    /// On a terminal each message is printed behind the number of its producer; elsewhere it is printed as it came, with a
    /// newline behind it. SIGINT, SIGTERM and SIGHUP take in what has been sent so far, print the report to standard error
    /// and exit 0; a second one, half a second later or more, does not wait. SIGUSR1 prints the report so far.
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
            "mpsr listen unx:/tmp/x.sock",
            "mpsr listen unix:",
            "mpsr listen",
            "mpsr listen unix:/x --mode 888",
            "mpsr listen unix:/x --max-frame 0",
            "mpsr send dir:/tmp",
            "mpsr send @name",
            "mpsr listen unix:/x --count 0",
            "mpsr listen unix:/x --allow-uid no-such-user",
            "mpsr listen unix:/x --allow-any --allow-uid 1",
            "mpsr listen unix:/x --timeout soon",
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
