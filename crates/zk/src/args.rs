//! The command line.

mod values;

use std::{
    env,
    ffi::OsString,
    fmt,
    io::{self, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
    process,
    time::Duration,
};

use clap::{
    Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser as _, ValueParser},
};
use terminal_text::escaped_words;
use zk_client::{Version, WatchMode};

/// Read, change and watch the nodes of an Apache ZooKeeper ensemble.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit status: 0 done; 1 failed, such as no server or no reader of the output; 2 wrong usage;\n\
                  3 no such node; 4 the node exists, is not empty, or has another version; 5 access denied;\n\
                  6 it is not known whether the change was made; 128 + N ended by signal N.\n\
                  Control and invisible characters in names are always escaped, those in data only on a terminal.\n\
                  In the objects of --json nothing is changed."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Print one JSON object per line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to reach the ensemble.
#[derive(Debug, clap::Args)]
pub(crate) struct Connection {
    /// The servers, and perhaps a path that is taken for the root: host:port,host:port/path. The default is $ZK_SERVER, or
    /// localhost:2181.
    #[arg(long, value_name = "CONNECT", global = true)]
    server: Option<String>,
    /// How long connecting may take, and each request: seconds, or with ms, s, m or h behind the number.
    #[arg(long, value_name = "TIME", global = true, default_value = "10s", value_parser = values::seconds)]
    pub(crate) timeout: Duration,
    /// The session timeout to ask for.
    #[arg(long, value_name = "TIME", global = true, default_value = "10s", value_parser = values::seconds)]
    pub(crate) session_timeout: Duration,
    /// Accept a read-only server: one that has lost its quorum and still serves reads.
    #[arg(short, long, global = true)]
    pub(crate) read_only: bool,
    /// Prove an identity, such as digest:user:password. Other users of this machine can read command lines: prefer --auth-file.
    #[arg(long, value_name = "SCHEME:PROOF", global = true, value_parser = secret())]
    pub(crate) auth: Vec<Secret>,
    /// Prove the identities in this file, one SCHEME:PROOF per line.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) auth_file: Option<PathBuf>,
}

impl Connection {
    /// The connect string.
    pub(crate) fn servers(&self) -> String {
        let given = self.server.clone().or_else(|| env::var("ZK_SERVER").ok().filter(|servers| !servers.is_empty()));
        given.unwrap_or_else(|| "localhost:2181".to_owned())
    }
}

/// A secret of the command line; never printed.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) OsString);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Accepts everything: the parser's own complaints would repeat the value.
fn secret() -> ValueParser {
    ValueParser::new(OsStringValueParser::new().map(Secret))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the data of a node: to a pipe or a file byte for byte, without a newline.
    Get {
        /// The node.
        path: String,
        /// Print the history of the node, too: to standard error, so that the data stays exact.
        #[arg(short)]
        stat: bool,
        /// Print the data in Base64.
        #[arg(long, conflicts_with = "hex")]
        base64: bool,
        /// Print the data in hexadecimal digits.
        #[arg(long)]
        hex: bool,
    },
    /// Write the data of a node.
    Set {
        /// The node.
        path: String,
        #[command(flatten)]
        payload: Payload,
        /// Write only if the data has this version; -1 is for any.
        #[arg(short, long, value_parser = values::version, allow_negative_numbers = true)]
        version: Option<Version>,
        /// Print the new history of the node.
        #[arg(short)]
        stat: bool,
    },
    /// Create a node, and print its path. Without data it holds null.
    ///
    /// With -e the program stays until it is interrupted: the node goes with its session.
    Create(Create),
    /// Delete a node.
    Delete {
        /// The node.
        path: String,
        /// Delete only if the data has this version; -1 is for any.
        #[arg(short, long, value_parser = values::version, allow_negative_numbers = true, conflicts_with = "recursive")]
        version: Option<Version>,
        /// Delete the nodes below it, too. That a node does not exist is no error then.
        #[arg(short = 'R', long)]
        recursive: bool,
    },
    /// List the names of the children of a node, sorted.
    Ls {
        /// The node.
        #[arg(default_value = "/")]
        path: String,
        /// Print the history of the node, too.
        #[arg(short)]
        stat: bool,
        /// List the paths of all nodes below it, and itself.
        #[arg(short = 'R', long, conflicts_with = "stat")]
        recursive: bool,
    },
    /// Show a node and the nodes below it as a tree.
    Tree {
        /// The node.
        #[arg(default_value = "/")]
        path: String,
        /// Show this many levels below the node.
        #[arg(short = 'L', long, value_name = "LEVELS")]
        depth: Option<usize>,
    },
    /// Print the history of a node.
    Stat {
        /// The node.
        path: String,
    },
    /// Print the changes of a node, or of a tree, until interrupted.
    ///
    /// Each line says what happened, and where: "created", "deleted", "data", "children". "resync" says that changes may be missing,
    /// because there was no connection: read again what you need to know. SIGINT and SIGTERM close the session and exit with 0.
    Watch {
        /// The node; it need not exist.
        path: String,
        /// What to watch: the node and the list of its children, or the node and all nodes below it.
        #[arg(short, long, value_enum, default_value = "tree", ignore_case = true)]
        mode: Mode,
        /// End after this many events.
        #[arg(short = 'n', long, value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
    /// Wait until the server has everything that the ensemble has executed by now.
    Sync {
        /// The node; servers do not look at it.
        #[arg(default_value = "/")]
        path: String,
    },
    /// Print the identities by which the server knows this connection.
    Whoami,
    /// Ask each server one of its four-letter words, such as srvr, mntr or ruok.
    ///
    /// Servers answer only the words that 4lw.commands.whitelist allows.
    #[command(name = "4lw")]
    FourLetters {
        /// The word.
        #[arg(value_parser = values::four_letters)]
        word: String,
    },
}

impl Command {
    /// Whether it changes the tree, so that a lost reply leaves a doubt.
    pub(crate) const fn changes(&self) -> bool {
        match self {
            Self::Set { .. } | Self::Create(_) | Self::Delete { .. } => true,
            Self::Get { .. }
            | Self::Ls { .. }
            | Self::Tree { .. }
            | Self::Stat { .. }
            | Self::Watch { .. }
            | Self::Sync { .. }
            | Self::Whoami
            | Self::FourLetters { .. } => false,
        }
    }
}

/// What to create.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// The node. With -s it may end with a slash.
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) payload: Payload,
    /// Who may do what: SCHEME:ID:PERMISSIONS, with commas in between. Permissions are letters of "cdrwa". The default is
    /// world:anyone:cdrwa; auth::cdrwa is for the identities of --auth.
    pub(crate) acl: Option<String>,
    /// The server appends a number to the name.
    #[arg(short, long)]
    pub(crate) sequential: bool,
    /// The node ends with the session, and has no children.
    #[arg(short, long, conflicts_with_all = ["container", "ttl"])]
    pub(crate) ephemeral: bool,
    /// The server deletes the node some time after its last child is gone.
    #[arg(short, long, conflicts_with_all = ["sequential", "ttl"])]
    pub(crate) container: bool,
    /// The server deletes the node if it has no children and was not written for this time: milliseconds, or with ms, s, m or h
    /// behind the number.
    #[arg(short, long, value_name = "TIME", value_parser = values::milliseconds)]
    pub(crate) ttl: Option<Duration>,
    /// Create the nodes above it, too, where they do not exist.
    #[arg(short, long)]
    pub(crate) parents: bool,
}

/// The data for a node.
#[derive(Debug, clap::Args)]
pub(crate) struct Payload {
    /// The data. Behind "--" it may begin with a hyphen.
    pub(crate) data: Option<OsString>,
    /// Read the data from this file; "-" is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Null, which ZooKeeper distinguishes from empty data.
    #[arg(long, conflicts_with_all = ["data", "file"])]
    pub(crate) null: bool,
}

/// What a watch covers; also in the words of zkCli.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// The node and the list of its children.
    #[value(alias = "persistent")]
    Node,
    /// The node and all nodes below it.
    #[value(alias = "persistent_recursive")]
    Tree,
}

impl From<Mode> for WatchMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Node => Self::Node,
            Mode::Tree => Self::Tree,
        }
    }
}

impl Args {
    /// The command line of this process. If it is wrong, says why and ends the process with status 2.
    pub(crate) fn get() -> Self {
        Self::try_parse().unwrap_or_else(|error| stop(&error))
    }
}

/// Prints help, the version or what is wrong, and ends the process. Help that could not be written is a failure, unless its reader
/// has read enough.
fn stop(error: &clap::Error) -> ! {
    let words = error.render().to_string();
    let printed = if error.use_stderr() {
        // A line break that the command line contains cannot be told from ours.
        let is_one_line = env::args_os().any(|argument| argument.as_bytes().contains(&b'\n'));
        let text = match is_one_line {
            true => escaped_words(words.trim_end()),
            false => words.trim_end().split('\n').map(escaped_words).collect::<Vec<_>>().join("\n"),
        };
        writeln!(io::stderr(), "{text}")
    } else {
        error.print()
    };
    let is_lost = printed.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe);
    process::exit(if is_lost { error.exit_code().max(1) } else { error.exit_code() })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_order_of_zk_cli_is_understood() {
        for line in [
            "zk get -s /a",
            "zk set /a data -v 3",
            "zk set -s /a data --version -1",
            "zk create -s -e /a data world:anyone:cdrwa",
            "zk create /a",
            "zk create -t 5000 /a data",
            "zk delete -v 2 /a",
            "zk ls -R /a",
            "zk ls",
            "zk watch -m PERSISTENT /a",
            "zk --server h:1 --json stat /a",
            "zk stat /a --server h:1/b --json",
            "zk 4lw srvr",
            "zk -r get /a",
            "zk ls -r -R /a",
        ] {
            assert!(Args::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_wrong_usage() {
        for line in [
            "zk get",
            "zk get /a --hex --base64",
            "zk set /a data --null",
            "zk set /a data -v 2147483648",
            "zk create -c -e /a",
            "zk create -c -s /a",
            "zk create -e -t 5s /a",
            "zk delete -R -v 3 /a",
            "zk watch /a -n 0",
            "zk watch /a -m all",
            "zk 4lw ruokk",
            "zk --timeout soon stat /a",
        ] {
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn a_proof_is_never_printed() {
        let args = Args::try_parse_from(["zk", "--auth", "digest:user:hunter2", "stat", "/a"]).unwrap();
        assert!(!format!("{args:?}").contains("hunter2"));
    }
}
