//! Many producers, one receiver, on the command line.

mod address;
mod args;
mod descriptors;
mod json;
mod listen;
mod ls;
mod output;
mod send;
mod signals;
mod sweep;
mod table;
mod text;
mod watch;

use std::process::ExitCode;

use crate::args::{Args, Command};

/// Failed at run time; wrong usage is 2, which is clap's.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let args = Args::get();
    // One thread more than the one that writes to standard output, which may block there for as long as it likes.
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("cannot start")),
    };
    let outcome = runtime.block_on(async {
        match args.command {
            Command::Listen(args) => listen::run(args).await,
            Command::Send(args) => send::run(args).await,
            Command::Watch(args) => watch::run(args).await,
            Command::Ls(args) => ls::run(&args),
            Command::Sweep(args) => sweep::run(&args),
        }
    });
    // A thread that still waits for standard input is not waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    output::note(&format!("mpsr: {}", text::escaped(format!("{error:#}").as_bytes())));
    ExitCode::from(FAILED)
}
