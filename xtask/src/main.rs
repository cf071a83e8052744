//! `cargo xtask`: everything that developers and builders do with this workspace, in one small program.
//!
//! CI runs what you run here: its file only calls `cargo xtask ci` and `cargo xtask demo`. Heavy work is in other
//! programs, so that this one compiles in seconds.

mod api;
mod bench;
mod command;
mod console;
mod demo;
mod doctor;
mod flags;
mod fuzz;
mod mutants;
mod need;
mod process;
mod report;
mod run;
mod step;
mod steps;
mod supply;
mod table;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

use console::{complain, say};
use flags::{Ci, Xtask, XtaskCmd};
use need::Machine;
use workspace::Workspace;

fn main() -> ExitCode {
    dispatch().unwrap_or_else(|error| {
        complain(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

fn dispatch() -> Result<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.is_empty() || arguments[0] == "help" {
        say(flags::help());
        return Ok(ExitCode::SUCCESS);
    }
    let flags = match Xtask::from_vec(arguments) {
        Ok(flags) => flags,
        Err(error) if error.is_help() => {
            say(error.to_string().trim_end());
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => {
            complain(&format!("error: {error}\n\n{}", flags::help()));
            return Ok(ExitCode::from(2));
        }
    };
    let workspace = Workspace::open()?;
    match flags.subcommand {
        XtaskCmd::Ci(options) => ci(&workspace, &options),
        XtaskCmd::Tidy(options) => tidy::run(&workspace, options.ratchet),
        XtaskCmd::Supply(_) => supply::run(&workspace),
        XtaskCmd::Prop(options) => prop(&workspace, options.cases.unwrap_or(256), options.replay),
        XtaskCmd::Fuzz(options) => fuzz::run(&workspace, &options),
        XtaskCmd::Loom(options) => run::steps("loom", &[steps::loom(&workspace, options.preemptions)], true),
        XtaskCmd::Mutants(options) => mutants::run(&workspace, &options),
        XtaskCmd::Api(options) => api::run(&workspace, &options),
        XtaskCmd::Integration(_) => run::steps("integration", &steps::integration(&workspace, Machine::probe()), true),
        XtaskCmd::Environments(_) => {
            run::steps("environments", &[steps::environments(&workspace, Machine::probe())], true)
        }
        XtaskCmd::Demo(options) => demo::run(&workspace, &options),
        XtaskCmd::Bench(options) => bench::run(&workspace, &options),
        XtaskCmd::Doctor(_) => doctor::run(),
    }
}

fn ci(workspace: &Workspace, options: &Ci) -> Result<ExitCode> {
    let all = steps::ci(workspace, Machine::probe(), steps::fresh_seed());
    let names = step::names(&all);
    let (chosen, left_out) = match step::select(all, options.only.as_deref(), options.full) {
        Ok(chosen) => chosen,
        Err(unknown) => {
            let unknown = if unknown.is_empty() { "(nothing)".to_owned() } else { unknown.join(", ") };
            complain(&format!("error: --only names no step or group: {unknown}\nthere are: {names}"));
            return Ok(ExitCode::from(2));
        }
    };
    if options.list {
        run::list(&chosen);
        return Ok(ExitCode::SUCCESS);
    }
    let code = run::steps("ci", &chosen, options.keep_going)?;
    if !left_out.is_empty() {
        say(&format!("left out, because they are heavy: {} (cargo xtask ci --full)", left_out.join(", ")));
    }
    Ok(code)
}

/// One seed determines the whole run: with it, every property draws the same cases again.
fn prop(workspace: &Workspace, cases: u32, seed: Option<u64>) -> Result<ExitCode> {
    let seed = seed.unwrap_or_else(steps::fresh_seed);
    let code = run::steps("prop", &[steps::prop(workspace, Machine::probe(), cases, seed)], true)?;
    say(&format!("the same cases again: cargo xtask prop --cases {cases} --replay {seed}"));
    Ok(code)
}
