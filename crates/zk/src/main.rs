//! Apache ZooKeeper on the command line.

#![forbid(unsafe_code)]

mod acl;
mod args;
mod commands;
mod connection;
mod failure;
mod json;
mod notes;
mod output;
mod payload;
mod shown;
mod signals;
mod walk;

use std::process::ExitCode;

use anyhow::Context as _;
use tokio::runtime::Builder;

use crate::{args::Args, failure::Failed, notes::note};

fn main() -> ExitCode {
    let args = Args::get();
    let changes = args.command.changes();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let failed = Failed::of(&error, changes);
            if failed.is_worth_a_note() {
                note(&format!("zk: {error:#}"));
            }
            ExitCode::from(failed.code())
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    // The session is kept alive by the worker thread, also while this one waits for standard output.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().context("cannot start")?;
    let outcome = runtime.block_on(commands::run(args));
    // The process ends next: nothing is waited for, such as a name that is being resolved.
    runtime.shutdown_background();
    outcome
}
