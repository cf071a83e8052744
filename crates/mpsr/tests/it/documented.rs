//! Every documented command line, run as written.
//!
//! The lines come from the pages and the help texts themselves, so that a new one is run by existing. A block of `sh` is one
//! script; it has to end well. A line of a `console` block, and an example in a help text, is typed into a terminal of its
//! own: one that runs until it is told to stop is told so at the end. A block that cannot run says why behind its language:
//! `sh no-run=build`.
//!
//! Two things differ from what is written: `/tmp` and `/run` lie in a directory of the test, and `mpsr` is the one under test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a line that cannot run here says so")]

mod extract;
mod terminal;

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use extract::{Block, Language};
use terminal::Terminal;

/// Where users read command lines, from the root of the repository.
const PAGES: &[&str] = &["README.md", "crates/mpsr/README.md"];
const DIRECTORY_OF_PAGES: &str = "docs";

/// Why a block may say that it is not run.
const NO_RUN: &[(&str, &str)] = &[
    ("build", "it builds or tests this repository, which is what runs this test"),
    ("system", "it changes settings of the machine, or needs ones that few machines have"),
    ("interactive", "it needs a person at a terminal"),
    ("service", "it needs a service manager"),
];

/// What a line may need: a part of it that says so, and the file that has to be there.
const NEEDS: &[(&str, &str)] =
    &[("socat ", "/usr/bin/socat"), ("nc ", "/usr/bin/nc"), ("systemd", "/run/systemd/system")];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn pages() -> Vec<(String, String)> {
    let mut names: Vec<String> = PAGES.iter().map(|&name| name.to_owned()).collect();
    let listing = fs::read_dir(root().join(DIRECTORY_OF_PAGES)).unwrap();
    let listed = listing.map(|entry| format!("{DIRECTORY_OF_PAGES}/{}", entry.unwrap().file_name().to_str().unwrap()));
    names.extend(listed.filter(|name| name.ends_with(".md")));
    names.sort();
    names.into_iter().map(|name| (fs::read_to_string(root().join(&name)).unwrap(), name)).map(|(a, b)| (b, a)).collect()
}

fn blocks(language: Language) -> Vec<Block> {
    let all = pages().into_iter().flat_map(|(name, text)| extract::blocks(&name, &text));
    all.filter(|block| block.language == language).collect()
}

/// What is missing here for this line, if anything.
fn lacks(line: &str) -> Option<&'static str> {
    NEEDS.iter().find(|(part, file)| line.contains(part) && !Path::new(file).exists()).map(|(_, file)| *file)
}

#[test]
fn every_script_ends_well() {
    let mut run = 0;
    for block in blocks(Language::Script).iter().filter(|block| block.no_run.is_none()) {
        match lacks(&block.text) {
            Some(missing) => println!("SKIPPED {}: there is no {missing}", block.place),
            None => {
                Terminal::new().script(&block.place, &block.text);
                run += 1;
            }
        }
    }
    assert!(run > 0, "no page has a script that runs");
}

#[test]
fn every_line_typed_into_a_terminal_works() {
    let mut run = 0;
    for block in blocks(Language::Console).iter().filter(|block| block.no_run.is_none()) {
        run += session(&block.place, &extract::console_lines(&block.text));
    }
    assert!(run > 0, "no page shows a session");
}

#[test]
fn every_example_in_a_help_text_works() {
    for (place, text) in help_texts() {
        session(&place, &extract::examples(&text));
    }
}

/// Types the lines into terminals of one machine, one after the other. Answers how many were run.
fn session(place: &str, lines: &[String]) -> usize {
    let mut terminal = Terminal::new();
    let mut run = 0;
    for line in lines {
        match lacks(line) {
            Some(missing) => println!("SKIPPED {place}: `{line}`: there is no {missing}"),
            None => {
                terminal.line(place, line);
                run += 1;
            }
        }
    }
    terminal.stop(place);
    run
}

fn help_texts() -> Vec<(String, String)> {
    let ask = |command: &str| {
        let mut mpsr = Command::new(env!("CARGO_BIN_EXE_mpsr"));
        mpsr.args((!command.is_empty()).then_some(command)).arg("--help");
        (format!("mpsr {command} --help"), String::from_utf8(mpsr.output().unwrap().stdout).unwrap())
    };
    let first = ask("");
    let commands = extract::commands(&first.1);
    assert!(commands.len() >= 5, "found only {commands:?}");
    let rest: Vec<_> = commands.iter().filter(|name| *name != "help").map(|name| ask(name)).collect();
    [first].into_iter().chain(rest).collect()
}

#[test]
fn a_block_that_is_not_run_says_why() {
    let known: BTreeSet<&str> = NO_RUN.iter().map(|(name, _)| *name).collect();
    for block in blocks(Language::Script).into_iter().chain(blocks(Language::Console)) {
        if let Some(reason) = &block.no_run {
            assert!(
                known.contains(reason.as_str()),
                "{}: no-run={reason}: one of {known:?} is to be there",
                block.place
            );
        }
    }
}

#[test]
#[should_panic(expected = "a.md:1: exit status: 3")]
fn a_script_that_fails_in_its_middle_is_found() {
    Terminal::new().script("a.md:1", "echo fine\n(exit 3)\necho fine again\n");
}

#[test]
#[should_panic(expected = "there is no directory")]
fn a_listener_that_ends_by_itself_is_found() {
    session("a.md:1", &["mpsr listen unix:/no/such/directory/in.sock".to_owned()]);
}
