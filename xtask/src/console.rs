//! Writes whole lines to the terminal; a reader that has gone is not an error.
//!
//! `println!` panics if standard output is a closed pipe (`cargo xtask ci --list | head -1`); here the program just
//! ends.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "for the harness, in tests only")]

use std::io::{self, Write};

/// One or more lines on standard output.
pub(crate) fn say(text: &str) {
    // Only this goes through the test harness, which hides the output of passing tests.
    if cfg!(test) { println!("{text}") } else { deliver(io::stdout().lock(), text) }
}

/// One or more lines on standard error.
pub(crate) fn complain(text: &str) {
    if cfg!(test) { eprintln!("{text}") } else { deliver(io::stderr().lock(), text) }
}

fn deliver(mut stream: impl Write, text: &str) {
    if writeln!(stream, "{text}").and_then(|()| stream.flush()).is_err() {
        // There is no reader left.
        std::process::exit(1);
    }
}
