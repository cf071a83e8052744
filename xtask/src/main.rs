//! `cargo xtask`: everything that developers and builders do with this workspace, in one small program.
//!
//! CI runs what you run here: its file only calls `cargo xtask ci` and `cargo xtask demo`. Heavy work is in other
//! programs, so that this one compiles in seconds.

mod console;
mod flags;
mod plan;
mod report;
mod run;
mod step;
mod supply;
mod tidy;
mod tools;
mod workspace;

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Result, bail, ensure};

use console::{complain, say};
use flags::{Xtask, XtaskCmd};
use plan::{Plan, quoted};
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
        return Ok(finish(flags::help()));
    }
    let flags = match Xtask::from_vec(arguments) {
        Ok(flags) => flags,
        Err(error) if error.is_help() => return Ok(finish(error.to_string().trim_end())),
        Err(error) => return Ok(misuse(&format!("{error}\n\n{}", flags::help()))),
    };
    let workspace = Workspace::open()?;
    match flags.subcommand {
        XtaskCmd::Ci(options) => ci(Plan::of(&workspace)?, &options),
        XtaskCmd::Tidy(options) => tidy::run(&workspace, options.ratchet),
        XtaskCmd::Supply(_) => supply::run(),
        XtaskCmd::Doctor(_) => tools::doctor(),
        XtaskCmd::Integration(_) => only(&Plan::of(&workspace)?, "integration,zookeeper"),
        XtaskCmd::Environments(_) => only(&Plan::of(&workspace)?, "environments"),
        XtaskCmd::Prop(options) => prop(Plan::of(&workspace)?, &options),
        XtaskCmd::Fuzz(options) => fuzz(Plan::of(&workspace)?, &options),
        XtaskCmd::Loom(options) => {
            let mut plan = Plan::of(&workspace)?;
            plan.set("preemptions", options.preemptions.unwrap_or(2).to_string());
            only(&plan, "loom")
        }
        XtaskCmd::Mutants(options) => mutants(Plan::of(&workspace)?, &options),
        XtaskCmd::Api(options) => {
            let mut plan = Plan::of(&workspace)?;
            options.since.iter().for_each(|since| plan.set("since", quoted(since)));
            only(&plan, "api,semver")
        }
        XtaskCmd::Demo(options) => {
            let timeout = options.timeout.map(|seconds| seconds.to_string());
            launch(&Plan::of(&workspace)?, "demo", &[("timeout", timeout)])
        }
        XtaskCmd::Bench(options) => bench(Plan::of(&workspace)?, &options),
    }
}

fn finish(text: &str) -> ExitCode {
    say(text);
    ExitCode::SUCCESS
}

/// Ends with the exit code that means a mistake in the command line.
fn misuse(text: &str) -> ExitCode {
    complain(&format!("error: {text}"));
    ExitCode::from(2)
}

fn ci(plan: Plan, options: &flags::Ci) -> Result<ExitCode> {
    let (chosen, left_out) = match step::select(plan.steps.clone(), options.only.as_deref(), options.full) {
        Ok(chosen) => chosen,
        Err(unknown) => {
            let names = step::names(&plan.steps);
            return Ok(misuse(&format!("--only names no step or group: {unknown}\nthere are: {names}")));
        }
    };
    if options.list {
        run::list(&plan, &chosen);
        return Ok(ExitCode::SUCCESS);
    }
    let code = run::steps("ci", &plan, &chosen, options.keep_going)?;
    if !left_out.is_empty() {
        say(&format!("left out, because they are heavy: {} (cargo xtask ci --full)", left_out.join(", ")));
    }
    Ok(code)
}

/// Runs the steps of these names.
fn only(plan: &Plan, names: &str) -> Result<ExitCode> {
    let (chosen, _) = step::select(plan.steps.clone(), Some(names), true).map_err(anyhow::Error::msg)?;
    run::steps(names, plan, &chosen, true)
}

/// One seed determines the whole run: with it, every property draws the same cases again.
fn prop(mut plan: Plan, options: &flags::Prop) -> Result<ExitCode> {
    let (cases, seed) = (options.cases.unwrap_or(256), options.replay.unwrap_or_else(plan::fresh_seed));
    plan.draw(cases, seed);
    let code = only(&plan, "prop")?;
    say(&format!("the same cases again: cargo xtask prop --cases {cases} --replay {seed}"));
    Ok(code)
}

fn fuzz(mut plan: Plan, options: &flags::Fuzz) -> Result<ExitCode> {
    let targets = plan.items("fuzz").to_vec();
    if options.list {
        return Ok(finish(&targets.join("\n")));
    }
    if options.canary {
        return only(&plan, "canary");
    }
    if let Some(target) = &options.target {
        if !targets.contains(target) {
            return Ok(misuse(&format!("no fuzz target is called {target}\nthere are: {}", targets.join(", "))));
        }
        plan.list("fuzz", vec![target.clone()]);
    }
    let seconds = options.secs.unwrap_or(10);
    plan.set("secs", seconds.to_string());
    for step in &mut plan.steps {
        *step = step.clone().with_limit(step.limit() + Duration::from_secs(seconds));
    }
    only(&plan, "fuzz")
}

fn mutants(mut plan: Plan, options: &flags::Mutants) -> Result<ExitCode> {
    let mut place =
        options.place.as_deref().map(|place| match place.strip_prefix("crates/").filter(|rest| rest.contains('/')) {
            None => format!("--package {}", quoted(place)),
            Some(_) if place.ends_with(".rs") => format!("--file {}", quoted(place)),
            // A module, and those below it.
            Some(_) => {
                format!("--file {} --file {}", quoted(format!("{place}.rs")), quoted(format!("{place}/**/*.rs")))
            }
        });
    if let Some(revision) = &options.diff {
        let file = format!("{}/difference", plan.value("target"));
        let written = Command::new("sh").args(["-c", &format!("git diff {} > {file}", quoted(revision))]).status()?;
        ensure!(written.success(), "git cannot compare with {revision}");
        place = Some(format!("{} --in-diff {file}", place.unwrap_or_default()));
    }
    let places = place.map_or_else(|| plan.items("place").to_vec(), |place| vec![place]);
    let shard = options.shard.as_ref().map(|part| format!(" --shard {}", quoted(part))).unwrap_or_default();
    plan.list("place", places.into_iter().map(|place| place + &shard).collect());
    only(&plan, "mutants")
}

/// Becomes the program of this name in `xtask/steps.toml`: from here on it gets the signals and gives the exit code.
fn launch(plan: &Plan, name: &str, options: &[(&str, Option<String>)]) -> Result<ExitCode> {
    let mut line = plan.expand(&format!("{{{name}}}")).map_err(anyhow::Error::msg)?.concat();
    for (flag, value) in options {
        line.extend(value.iter().map(|value| format!(" --{flag} {value}")));
    }
    say(&format!("$ {line}"));
    bail!("cannot start a shell: {}", Command::new("sh").args(["-c", &line]).exec())
}

fn bench(mut plan: Plan, options: &flags::Bench) -> Result<ExitCode> {
    let mut peers = Vec::new();
    for (feature, tool) in [("zmq", "libzmq"), ("omq", "rust-1.93")] {
        peers.extend(tools::has(tool)?.then_some(feature));
    }
    plan.set("peers", peers.join(","));
    let options = [
        ("quick", options.quick.then(String::new)),
        ("only", options.only.as_ref().map(quoted)),
        ("rounds", options.rounds.map(|rounds| rounds.to_string())),
        ("save", options.save.then(|| "docs/benchmarks".to_owned())),
    ];
    launch(&plan, "bench", &options)
}
