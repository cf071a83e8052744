//! The command line.

mod binding;
mod frames;
mod framing;
mod listen;
mod ls;
mod send;
mod sweep;
mod values;
mod watch;

use std::{
    env,
    io::{self, Write as _},
    os::unix::ffi::OsStrExt as _,
    process,
};

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
use crate::text::escaped_words;

/// Many producers, one receiver, over Unix sockets.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit status: 0 done; 1 failed at run time; 2 wrong usage or a malformed address.\n\
                  Control and invisible characters in messages are escaped on a terminal and nowhere else; in names and\n\
                  notes they always are. In the objects of --json nothing is changed."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// The command line of this process. Where it is wrong, says why and ends the process with status 2.
    pub(crate) fn get() -> Self {
        let args = Self::try_parse().unwrap_or_else(|error| stop(&error));
        let frames = match &args.command {
            Command::Listen(listen) => Some(&listen.frames),
            Command::Send(send) => Some(&send.frames),
            _ => None,
        };
        let own = match &args.command {
            Command::Listen(listen) => listen.conflict(),
            Command::Send(send) => send.conflict(),
            _ => None,
        };
        if let Some(why) = frames.and_then(Frames::conflict).or(own) {
            args.command.wrong(ErrorKind::ArgumentConflict, why);
        }
        args
    }
}

/// Prints help, the version or what is wrong, and ends the process. Help that could not be written is a failure, unless the
/// reader of the pipe has read enough.
fn stop(error: &clap::Error) -> ! {
    let printed = match unsafe_words(error) {
        Some(words) => io::stderr().write_all(words.as_bytes()),
        None => error.print(),
    };
    let is_lost = printed.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe);
    process::exit(if is_lost { error.exit_code().max(1) } else { error.exit_code() })
}

/// The message, escaped, if it repeats something from the command line that a terminal would obey or hide. `mpsr ls *` passes
/// whatever names other users have given their files.
fn unsafe_words(error: &clap::Error) -> Option<String> {
    let words = error.render().to_string();
    // A line that the command line brings along cannot be told from the others.
    let is_one_line = error.use_stderr() && env::args_os().any(|argument| argument.as_bytes().contains(&b'\n'));
    let escaped = match is_one_line {
        true => escaped_words(words.trim_end()),
        false => words.trim_end().split('\n').map(escaped_words).collect::<Vec<_>>().join("\n"),
    };
    (is_one_line || escaped != words.trim_end()).then_some(escaped + "\n")
}

const LISTEN_EXAMPLES: &str = "\
Examples:
  mpsr listen in.sock                          # a socket for this user's programs
  mpsr listen team.sock --mode 660             # and for this group's
  mpsr listen /run/app/sockets                 # every socket in a directory
  mpsr listen one.sock --once --timeout 1m     # one connection, and a minute of silence at most
  mpsr listen objects.sock --json              # objects instead of lines

Exit status: 0 ended by a signal or as asked, and everything received was printed;
1 could not listen, output failed or was not read, messages were lost, connections were
closed unread, a second signal, or --timeout before --count or --once; 2 wrong usage.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Receive messages until interrupted, then print the report.
    ///
    /// On a terminal each message is printed behind the number of its producer; elsewhere it is printed as it came, with a
    /// newline behind it. SIGINT, SIGTERM and SIGHUP take in what has been sent so far, print the report to standard error
    /// and exit 0; a second one, half a second later or more, does not wait. SIGUSR1 prints the report so far.
    #[command(after_long_help = LISTEN_EXAMPLES)]
    Listen(Listen),
    /// Send messages: the arguments, or the lines of standard input.
    ///
    /// Exit status 0 means that all of them were handed to the kernel, and that the receiver was not seen to leave any
    /// unread. A connection that ends before the input does, in whatever way, is exit status 1. What the receiver sends is
    /// read and discarded; at the end, send closes its direction and waits for the receiver to close the other, for 2 seconds
    /// without an answer and 10 in all.
    ///
    /// SIGINT, SIGTERM and SIGHUP end it: what is queued is handed over first, within 2 seconds, and the exit status is 1.
    /// SIGUSR1 says how much was queued so far.
    Send(Send),
    /// Show the sockets of a directory, now and as they come and go.
    ///
    /// Each line begins with a sign: "=" was there already, "+" has come, "!" a server listens on it, "-" is gone, was
    /// replaced, or is stale (the file is there, its server is not), "??" something is not seen, or late, until
    /// "-- complete again".
    ///
    /// Only the kernel is asked, and no server notices. Whether a server in another network namespace listens is not
    /// known without --connect, so that there is no "!" for it; standard error says so once.
    Watch(Watch),
    /// List the sockets of directories, and which process listens on each.
    ///
    /// A socket is live (a server listens), full (live, its queue takes no more), bound (its owner does not listen), stale
    /// (no process has it) or unknown. Only the kernel is asked, and no server notices. A socket that is bound in another
    /// network namespace, as of a container, is unknown: --connect asks it. Only root sees the processes of others.
    Ls(Ls),
    /// Remove the sockets of a directory that are proven stale, and lock files that no process holds; say of each other
    /// socket why it is kept.
    ///
    /// Removed is what is old enough, belongs to this user or root, has no lock held beside it, and is bound by no process
    /// in any network namespace, which the kernel says without a server noticing; last, a connection must fail, too. On
    /// filesystems on whose other side a server may run (FUSE, 9p, virtiofs, NFS, overlay, and those that mpsr does not know)
    /// nothing is removed without --any-filesystem.
    ///
    /// The other side of such a mount, the backing directory of a FUSE or virtiofs mount or the upper directory of an overlay,
    /// is recognised only if a mount table of this machine that this user may read names it. Those of fuse-overlayfs, and what
    /// a virtual machine or another machine mounts, cannot be detected. Sockets that are served through the mount look stale
    /// there. Do not sweep such a directory: sweep through the mount, or where the server runs.
    Sweep(Sweep),
}

impl Command {
    /// Ends the process as clap does, with the usage of this command.
    fn wrong(&self, kind: ErrorKind, why: String) -> ! {
        let mut command = Args::command();
        command.build();
        let name = match self {
            Self::Listen(_) => "listen",
            Self::Send(_) => "send",
            Self::Watch(_) => "watch",
            Self::Ls(_) => "ls",
            Self::Sweep(_) => "sweep",
        };
        command.find_subcommand_mut(name).expect("it was parsed by this name").error(kind, why).exit()
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
            "mpsr listen unx:/tmp/x.sock",
            "mpsr listen unix:",
            "mpsr listen",
            "mpsr listen unix:/x --mode 888",
            "mpsr listen unix:/x --max-frame 0",
            "mpsr send dir:/tmp",
            "mpsr send @name",
            "mpsr listen unix:/x --count 0",
            "mpsr listen unix:/x --max-frame 1.5k",
            "mpsr listen unix:/x --allow-uid no-such-user",
            "mpsr listen unix:/x --allow-any --allow-uid 1",
            "mpsr listen unix:/x --timeout soon",
            "mpsr send unix:/x --wait -1",
            "mpsr watch dir:",
            "mpsr ls dir:",
            "mpsr ls unix:@name",
            "mpsr ls --connect --no-connect",
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
