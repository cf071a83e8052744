//! Every option of `listen` with every kind of address: each works, or is rejected at the start with an explanation.

use std::{collections::BTreeSet, io::Write as _};

use rustix::process::Signal;

use crate::{
    cells::{Cell, Kind},
    running::{Running, finish, mpsr},
};

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
    (&["--framing", "fixed:6", "--oversize", "skip"], [Rejected("no effect"); 3]),
    (&["--max-frame", "1k"], [Works; 3]),
    (&["--oversize", "skip", "--max-frame", "5"], [Works; 3]),
    (&["--oversize", "shorten"], [Works; 3]),
    (&["--oversize", "disconnect"], [Works; 3]),
    (&["--json"], [Works; 3]),
    (&["--quiet"], [Works; 3]),
    (&["--quiet", "--json"], [Works; 3]),
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

impl Cell {
    fn run(mut self, expected: Expected) -> Result<(), String> {
        if let Rejected(words) = expected {
            // Standard input is set already where it matters.
            let ended = finish(&mut self.command, b"");
            let is_right = ended.code == Some(2) && ended.stderr.contains(words) && ended.stdout.is_empty();
            return if is_right { Ok(()) } else { Err(format!("not rejected with {words:?}: {ended:?}")) };
        }
        let mut listen = Running::start(&mut self.command);
        let (stdout, stderr) = (listen.stdout(), listen.stderr());
        let sent = self.producer.connect(&mut listen).and_then(|mut stream| stream.write_all(b"hello\n"));
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

/// The kinds with a test below.
const TESTED: [Kind; 6] =
    [Kind::PlainPath, Kind::Path, Kind::Abstract, Kind::Systemd, Kind::Directory, Kind::PlainDirectory];

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
    assert_all_tested("listen", OPTIONS.iter().flat_map(|(options, _)| *options));
}

/// Among the arguments that are tested is each option that the help of this command has.
pub(crate) fn assert_all_tested<'a>(command: &str, tested: impl IntoIterator<Item = &'a &'a str>) {
    let help = String::from_utf8(finish(&mut mpsr([command, "--help"]), b"").stdout).unwrap();
    let word = |line: &str| {
        let line = line.trim_start();
        // "-q, --quiet"
        let line = line.split_once(", --").filter(|(short, _)| short.len() == 2).map_or(line, |_| &line[4..]);
        let end = line.find(|c: char| c != '-' && !c.is_ascii_alphanumeric()).unwrap_or(line.len());
        line[..end].to_owned()
    };
    let documented: BTreeSet<String> =
        help.lines().map(word).filter(|word| word.len() > 2 && word.starts_with("--")).collect();
    let tested: BTreeSet<String> = tested.into_iter().map(|argument| (*argument).to_owned()).collect();
    let missing: Vec<_> = documented.difference(&tested).filter(|option| *option != "--help").collect();
    assert_eq!(missing, [""; 0], "options of {command} that are not tested");
    assert!(documented.contains("--help") && documented.len() > 3, "{documented:?}");
}

#[test]
fn no_kind_of_address_is_missing_here() {
    assert_eq!(Kind::documented(), TESTED);
}
