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
    /// The command line of this process. If it is wrong, prints why and ends the process with status 2.
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

/// Prints help, the version or an error, and ends the process. Help that cannot be written is a failure, unless the
/// reader of the pipe closed it.
fn stop(error: &clap::Error) -> ! {
    let printed = match unsafe_words(error) {
        Some(words) => io::stderr().write_all(words.as_bytes()),
        None => error.print(),
    };
    let is_lost = printed.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe);
    process::exit(if is_lost { error.exit_code().max(1) } else { error.exit_code() })
}

/// The message with escapes, if it repeats something from the command line that a terminal would interpret or hide.
/// `mpsr ls *` passes whatever names other users have given to their files.
fn unsafe_words(error: &clap::Error) -> Option<String> {
    let words = error.render().to_string();
    // A newline inside an argument looks like the end of one of our lines.
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
    /// On a terminal, each message follows the number of its producer. Elsewhere it is printed unchanged, followed by a
    /// newline. SIGINT, SIGTERM and SIGHUP receive what was sent so far, print the report to standard error and exit
    /// with 0. A second signal, half a second later or more, exits without waiting. SIGUSR1 prints the report so far.
    #[command(after_long_help = LISTEN_EXAMPLES)]
    Listen(Listen),
    /// Send messages: the arguments, or the lines of standard input.
    ///
    /// Exit status 0 means that every message was handed to the kernel, and that the receiver did not visibly leave any
    /// unread. If the connection ends before the input does, even normally, the exit status is 1. Whatever the receiver
    /// sends is read and discarded. At the end, send closes its direction and waits for the receiver to close the
    /// other: for 2 seconds without an answer, and 10 in total.
    ///
    /// SIGINT, SIGTERM and SIGHUP end it with status 1, after handing over what is queued, for 2 seconds at most.
    /// SIGUSR1 prints how much was queued so far.
    Send(Send),
    /// Show the sockets of a directory, and every change.
    ///
    /// Each line begins with a sign: "=" was there already, "+" was added, "!" a server listens on it, "-" was removed,
    /// replaced, or is stale (the file is there, but no process has the socket), "??" changes may be missed or late,
    /// until "-- complete again".
    ///
    /// This asks only the kernel, so no server notices. For a server in another network namespace, the kernel does not
    /// say whether it listens; there is no "!" for it without --connect, and standard error says so once.
    Watch(Watch),
    /// List the sockets of directories, and which process listens on each.
    ///
    /// A socket is live (a server listens), full (live, with a full queue), bound (its owner does not listen), stale (no
    /// process has it) or unknown. This asks only the kernel, so no server notices. A socket that is bound in another
    /// network namespace, such as a container's, is unknown; --connect tries to connect to it. Only root can see the
    /// processes of other users.
    Ls(Ls),
    /// Remove the sockets of a directory that are proven stale, and lock files that no process holds; explain why every
    /// other socket is kept.
    ///
    /// Sweep removes a socket if it is old enough and belongs to this user or root, if no process holds the lock beside
    /// it, and if no process in any network namespace has bound it, which the kernel reports without any server
    /// noticing. As the last check, a connection must fail, too. On filesystems where a server may run on the other
    /// side (FUSE, 9p, virtiofs, NFS, overlay, and those that mpsr does not know), nothing is removed without
    /// --any-filesystem.
    ///
    /// Sweep recognises the other side of such a mount, which is the backing directory of a FUSE or virtiofs mount or
    /// the upper directory of an overlay, only if a mount table of this machine that this user may read names it. It
    /// cannot detect those of fuse-overlayfs, nor what a virtual machine or another machine mounts. Sockets that are
    /// served through the mount look stale there. Do not sweep such a directory: sweep through the mount, or where the
    /// server runs.
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
    fn malformed_values_are_rejected_with_a_reason() {
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
