//! Every option of `listen` with every kind of address: each works, or is rejected at the start with an explanation.

use std::{
    collections::BTreeSet,
    io::Write as _,
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    path::PathBuf,
    process::{Command, Stdio},
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    listen::directory,
    running::{Running, finish, mpsr},
};

/// The kinds of addresses in the README's table, and plain paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Path,
    PlainPath,
    Abstract,
    Systemd,
    Directory,
    PlainDirectory,
}

const KINDS: [Kind; 6] =
    [Kind::Path, Kind::PlainPath, Kind::Abstract, Kind::Systemd, Kind::Directory, Kind::PlainDirectory];

/// What must become of an option with a kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// A message comes through, and the end is a success.
    Works,
    /// The same, and it ends by itself.
    Ends,
    /// Exit 2, with these words.
    Rejected(&'static str),
}

use Expected::{Ends, Rejected, Works};

const FOLDER: Expected = Rejected("no ADDRESS is one");
const FILE: Expected = Rejected("no ADDRESS is the path of one");

/// An option, its value and others that it needs; what becomes of it with socket files, with other sockets, and with
/// directories.
type Row = (&'static [&'static str], [Expected; 3]);

const OPTIONS: &[Row] = &[
    (&[], [Works; 3]),
    (&["--framing", "lines"], [Works; 3]),
    (&["--framing", "raw"], [Works; 3]),
    (&["--framing", "until-eof"], [Works; 3]),
    (&["--max-frame", "1k"], [Works; 3]),
    (&["--oversize", "skip", "--max-frame", "5"], [Works; 3]),
    (&["--oversize", "shorten"], [Works; 3]),
    (&["--oversize", "disconnect"], [Works; 3]),
    (&["--json"], [Works; 3]),
    (&["--quiet"], [Works; 3]),
    (&["--prefix"], [Works; 3]),
    (&["--timestamps"], [Works; 3]),
    (&["--timestamps", "--json"], [Works; 3]),
    (&["--no-newline", "--framing", "raw"], [Works; 3]),
    (&["--count", "1"], [Ends; 3]),
    (&["--once"], [Ends; 3]),
    (&["--timeout", "300ms"], [Ends; 3]),
    (&["--drain", "1s"], [Works; 3]),
    (&["--mode", "666"], [Works, FILE, FILE]),
    (&["--group", "GROUP"], [Works, FILE, FILE]),
    (&["--allow-uid", "USER"], [Works; 3]),
    (&["--allow-gid", "GROUP"], [Works; 3]),
    (&["--allow-any"], [Works; 3]),
    (&["--shared-directory"], [Works, FILE, FILE]),
    (&["--any-filesystem"], [Works, FILE, FILE]),
    (&["--rebind"], [Works, FILE, FILE]),
    (&["--reconnect"], [FOLDER, FOLDER, Works]),
];

/// Tells one test's abstract names from another's.
fn unique(directory: &TempDir) -> String {
    format!("mpsr-{}", directory.path().file_name().unwrap().to_string_lossy())
}

/// A receiver, and what a producer has to do to reach it.
struct Cell {
    /// Holds the files.
    directory: TempDir,
    command: Command,
    producer: Producer,
}

enum Producer {
    Connects(SocketAddr),
    Listens(UnixListener),
}

impl Cell {
    fn new(kind: Kind, options: &[&str]) -> Self {
        let directory = directory();
        let path = directory.path().join("in.sock");
        let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let folder = directory.path().join("sockets");
        let connects = || Producer::Connects(SocketAddr::from_pathname(&path).unwrap());
        let listens = || {
            std::fs::create_dir(&folder).unwrap();
            Producer::Listens(UnixListener::bind(folder.join("p.sock")).unwrap())
        };
        let mut passed = None;
        let (address, producer) = match kind {
            Kind::Path => (format!("unix:{}", text(&path)), connects()),
            Kind::PlainPath => (text(&path), connects()),
            Kind::Abstract => {
                let name = unique(&directory);
                (format!("unix:@{name}"), Producer::Connects(SocketAddr::from_abstract_name(&name).unwrap()))
            }
            Kind::Systemd => {
                passed = Some(UnixListener::bind(&path).unwrap());
                ("systemd:in".to_owned(), connects())
            }
            Kind::Directory => (format!("dir:{}", text(&folder)), listens()),
            Kind::PlainDirectory => (text(&folder), listens()),
        };
        let user = rustix::process::getuid().as_raw().to_string();
        let group = rustix::process::getgid().as_raw().to_string();
        let options = options.iter().map(|option| match *option {
            "USER" => user.clone(),
            "GROUP" => group.clone(),
            option => option.to_owned(),
        });
        let arguments: Vec<String> = ["listen".to_owned(), address].into_iter().chain(options).collect();
        let mut command = mpsr(&arguments);
        command.stdin(Stdio::null());
        if let Some(listener) = passed {
            // As a service manager does: the socket is descriptor 3, and the environment names it.
            command = Command::new("sh");
            let script = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=in exec "$0" "$@""#;
            command.args(["-c", script, env!("CARGO_BIN_EXE_mpsr")]).args(&arguments).stdin(OwnedFd::from(listener));
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { directory, command, producer }
    }

    fn run(mut self, expected: Expected) -> Result<(), String> {
        if let Rejected(words) = expected {
            // Standard input is set already where it matters.
            let ended = finish(&mut self.command, b"");
            let is_right = ended.code == Some(2) && ended.stderr.contains(words) && ended.stdout.is_empty();
            return if is_right { Ok(()) } else { Err(format!("not rejected with {words:?}: {ended:?}")) };
        }
        let mut listen = Running::start(&mut self.command);
        let (stdout, stderr) = (listen.stdout(), listen.stderr());
        let stream = match self.producer {
            Producer::Listens(listener) => listener.accept().map(|(stream, _)| stream),
            Producer::Connects(address) => connect(&address, &mut listen),
        };
        let sent = stream.and_then(|mut stream| stream.write_all(b"hello\n"));
        let mut heard = Vec::new();
        while !heard.last().is_some_and(|line: &String| line.contains("hello")) {
            let Some(line) = stdout.next() else { break };
            heard.push(line);
        }
        if expected == Works && !listen.has_ended() {
            listen.signal(Signal::TERM);
        }
        let code = listen.wait();
        drop(self.directory);
        if sent.is_ok() && code == Some(0) && heard.iter().any(|line| line.contains("hello")) {
            return Ok(());
        }
        Err(format!("sent {sent:?}, exit {code:?}, heard {heard:?}, said {:?}", stderr.rest()))
    }
}

/// Connects as soon as there is someone, unless the receiver has ended.
fn connect(address: &SocketAddr, listen: &mut Running) -> std::io::Result<UnixStream> {
    loop {
        match UnixStream::connect_addr(address) {
            Err(_) if !listen.has_ended() => std::thread::yield_now(),
            connected => return connected,
        }
    }
}

/// Each option with this kind of address.
fn check(kind: Kind) {
    let column = match kind {
        Kind::Path | Kind::PlainPath => 0,
        Kind::Abstract | Kind::Systemd => 1,
        Kind::Directory | Kind::PlainDirectory => 2,
    };
    let failures: Vec<String> = OPTIONS
        .iter()
        .filter_map(|(options, expected)| {
            let failure = Cell::new(kind, options).run(expected[column]).err()?;
            Some(format!("{kind:?} with {options:?}: {failure}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_option_works_with_a_path() {
    check(Kind::Path);
}

#[test]
fn every_option_works_with_a_plain_path() {
    check(Kind::PlainPath);
}

#[test]
fn every_option_works_with_an_abstract_name() {
    check(Kind::Abstract);
}

#[test]
fn every_option_works_with_a_passed_socket() {
    check(Kind::Systemd);
}

#[test]
fn every_option_works_with_a_directory() {
    check(Kind::Directory);
}

#[test]
fn every_option_works_with_a_plain_directory() {
    check(Kind::PlainDirectory);
}

#[test]
fn no_option_is_missing_here() {
    let help = String::from_utf8(finish(&mut mpsr(["listen", "--help"]), b"").stdout).unwrap();
    let word = |line: &str| {
        let line = line.trim_start().strip_prefix("-q, ").unwrap_or(line.trim_start());
        let end = line.find(|c: char| c != '-' && !c.is_ascii_alphanumeric()).unwrap_or(line.len());
        line[..end].to_owned()
    };
    let documented: BTreeSet<String> =
        help.lines().map(word).filter(|word| word.len() > 2 && word.starts_with("--")).collect();
    let tested: BTreeSet<String> = OPTIONS
        .iter()
        .flat_map(|(options, _)| *options)
        .filter(|o| o.starts_with("--"))
        .map(|o| (*o).to_owned())
        .collect();
    assert_eq!(documented.difference(&tested).collect::<Vec<_>>(), [""; 0], "options without a row");
    assert!(KINDS.len() == 6 && documented.len() > 10, "{documented:?}");
}
