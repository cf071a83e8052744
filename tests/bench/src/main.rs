//! Tributary beside other libraries: how many messages, how much CPU, how much memory.
//!
//! One binary plays every part. Started by hand (or by `cargo xtask bench`) it is the conductor: it starts itself again
//! as a receiver and as producers, one process each, tells them when to begin, and collects what they measured. So
//! every contender runs in separate processes, started the same way, and none inherits another's heap or runtime.

mod args;
mod conduct;
mod contender;
mod experiment;
mod fairness;
mod idle;
mod machine;
mod meter;
mod musts;
mod payload;
mod plot;
mod produce;
mod receive;
mod report;
mod results;
mod role;
mod round_trip;
mod runtime;
mod socket;
mod stats;
mod writes;

use std::process::ExitCode;

use anyhow::Result;

fn main() -> Result<ExitCode> {
    match args::Bench::from_env_or_exit().subcommand {
        args::BenchCmd::Run(options) => experiment::run(&options),
        args::BenchCmd::Role(role) => role::play(&role.spec).map(|()| ExitCode::SUCCESS),
    }
}
