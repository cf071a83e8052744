//! Many producers, one receiver, on the command line.

mod address;
mod args;
mod descriptors;
mod input;
mod json;
mod listen;
mod ls;
mod memory;
mod names;
mod notes;
mod output;
mod relay;
mod runtime;
mod send;
mod signals;
mod stack;
mod stream;
mod sweep;
mod table;
mod text;
mod watch;
mod width;
mod words;

use std::process::ExitCode;

use crate::args::{Args, Command};

/// The exit status for a failure at run time. Clap exits with 2 for wrong usage.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let code = match stack::with_room(run).and_then(|outcome| outcome) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            notes::last_note(&format!("mpsr: {}", text::escaped_words(&format!("{error:#}"))));
            ExitCode::from(FAILED)
        }
    };
    notes::settle();
    code
}

fn run() -> anyhow::Result<()> {
    signals::survive_file_size_limit();
    match Args::get().command {
        Command::Listen(args) => runtime::run(|| listen::run(args)),
        Command::Send(args) => runtime::run(|| send::run(args)),
        Command::Watch(args) => runtime::run(|| watch::run(args)),
        Command::Ls(args) => ls::run(&args),
        Command::Sweep(args) => sweep::run(&args),
    }
}
