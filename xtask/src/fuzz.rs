//! `cargo xtask fuzz`: libFuzzer on stable Rust, over every target in `tests/fuzz`.
//!
//! The package is outside the workspace and is built with coverage instrumentation in its own target directory. Inputs
//! that libFuzzer keeps go to that directory. If an input breaks a law, you see the line that runs it again; put the
//! input into `tests/fuzz/corpus/TARGET`, where plain tests replay it.

use std::{
    env, fs,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{
    command::Command,
    console::{complain, say},
    flags, need, process, run,
    step::{Group, Proof, Step},
    workspace::Workspace,
};

/// Where the targets are, each a file of the same name.
const TARGETS: &str = "tests/fuzz/src/bin";
/// The target with a planted mistake: the only one that must fail.
const CANARY: &str = "canary";

/// Seconds for each target by default.
const SECONDS: u64 = 10;
/// Seconds for each target in `cargo xtask ci`.
const CI_SECONDS: u64 = 1;
/// How long finding the canary's mistake may take.
const CANARY_SECONDS: u64 = 60;

const BUILD_LIMIT: Duration = Duration::from_secs(900);

/// Coverage as libFuzzer needs it; with one codegen unit, so that the counters keep their places.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1";

pub(crate) fn run(workspace: &Workspace, options: &flags::Fuzz) -> Result<ExitCode> {
    let all = targets(workspace)?;
    if options.list {
        all.iter().for_each(|target| say(target));
        return Ok(ExitCode::SUCCESS);
    }
    let place = Place::of(workspace)?;
    if options.canary {
        return canary(&place);
    }
    let chosen: Vec<&str> = match &options.target {
        None => all.iter().map(String::as_str).collect(),
        Some(wanted) if all.contains(wanted) => vec![wanted],
        Some(unknown) => {
            complain(&format!("error: no fuzz target is called {unknown}\nthere are: {}", all.join(", ")));
            return Ok(ExitCode::from(2));
        }
    };
    let seconds = options.secs.unwrap_or(SECONDS);
    let mut steps = vec![step("fuzz/build", BUILD_LIMIT, place.preparation(&chosen))];
    for target in chosen {
        let fuzz = step(&format!("fuzz/{target}"), limit(seconds), vec![place.fuzz(target, seconds)]);
        steps.push(fuzz.proving(Proof::Fuzzed));
    }
    run::steps("fuzz", &steps, true)
}

/// All targets for a moment, and the proof that they would find something.
pub(crate) fn ci_step(workspace: &Workspace) -> Step {
    let mut step = step("fuzz", BUILD_LIMIT, Vec::new()).proving(Proof::Fuzzed);
    match (targets(workspace), Place::of(workspace)) {
        (Ok(targets), Ok(place)) => {
            let names: Vec<&str> = targets.iter().map(String::as_str).collect();
            step.commands = place.preparation(&names);
            step.commands.extend(names.iter().map(|target| place.fuzz(target, CI_SECONDS)));
            step.commands.push(Command::xtask(["fuzz", "--canary"]));
        }
        (Err(why), _) | (_, Err(why)) => step.idle = Some(format!("{why:#}")),
    }
    step
}

fn step(name: &str, limit: Duration, commands: Vec<Command>) -> Step {
    Step::new(name, Group::Fuzz, limit, commands).needing(&[need::CXX])
}

/// A run that has not ended by then is hanging.
fn limit(seconds: u64) -> Duration {
    Duration::from_secs(seconds.saturating_add(60))
}

/// The fuzzer must find the planted mistake, and no other.
fn canary(place: &Place) -> Result<ExitCode> {
    if !need::CXX.is_met() {
        bail!("{}", need::CXX.complaint());
    }
    for command in place.preparation(&[CANARY]) {
        say(&format!("$ {command}"));
        let outcome = process::run(&command, BUILD_LIMIT)?;
        if !outcome.succeeded() {
            bail!("the fuzz targets do not build:\n{}", outcome.output);
        }
    }
    let begun = Instant::now();
    let fuzz = place.fuzz(CANARY, CANARY_SECONDS);
    say(&format!("$ {fuzz}"));
    let outcome = process::run(&fuzz, limit(CANARY_SECONDS))?;
    if is_found(outcome.succeeded(), &outcome.output) {
        say(&format!("the planted mistake was found in {:.1} s", begun.elapsed().as_secs_f64()));
        return Ok(ExitCode::SUCCESS);
    }
    complain(&format!("{}\nerror: the planted mistake was not found in {CANARY_SECONDS} s", outcome.output.trim_end()));
    Ok(ExitCode::FAILURE)
}

/// Whether the fuzzer ended because the framing with the mistake broke a law.
fn is_found(succeeded: bool, output: &str) -> bool {
    !succeeded && output.contains("framing Forgetful") && output.contains("Test unit written to")
}

/// The targets that must find nothing, by the names of their files.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let dir = workspace.root.join(TARGETS);
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        names.extend(name.strip_suffix(".rs").filter(|&name| name != CANARY).map(str::to_owned));
    }
    if names.is_empty() {
        bail!("no fuzz targets in {}", dir.display());
    }
    names.sort_unstable();
    Ok(names)
}

/// The instrumented build, apart from the plain one: each set of flags rebuilds everything.
struct Place {
    root: PathBuf,
    home: PathBuf,
    /// The target triple of this machine. If a target is named, the flags do not apply to build scripts and procedural
    /// macros.
    host: String,
}

impl Place {
    fn of(workspace: &Workspace) -> Result<Self> {
        let shell = Shell::new()?;
        let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let said = cmd!(shell, "{rustc} -vV").quiet().read().context("rustc does not say its version")?;
        let host = said.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say its host")?;
        Ok(Self { root: workspace.root.clone(), home: workspace.target.join("fuzz"), host: host.to_owned() })
    }

    /// The build, and the directories that runs write to.
    fn preparation(&self, targets: &[&str]) -> Vec<Command> {
        let manifest = "tests/fuzz/Cargo.toml";
        let build = ["build", "--release", "--locked", "--manifest-path", manifest, "--bins", "--target", &self.host];
        let build = Command::cargo(build)
            .with_variable("CARGO_TARGET_DIR", self.home.to_string_lossy())
            .with_variable("RUSTFLAGS", FLAGS);
        let directories = targets.iter().flat_map(|target| ["corpus", "artifacts"].map(|kind| self.dir(kind, target)));
        vec![build, Command::new("mkdir", "mkdir", ["-p".to_owned()].into_iter().chain(directories))]
    }

    /// One run: new inputs go to the target directory; the committed corpus is only read.
    fn fuzz(&self, target: &str, seconds: u64) -> Command {
        let program = self.home.join(&self.host).join("release").join(target);
        let committed = format!("tests/fuzz/corpus/{target}");
        let mut arguments = Vec::new();
        if target != CANARY {
            // The canary starts from nothing every time: the fuzzer must find its mistake, not remember it.
            arguments.push(self.dir("corpus", target));
            arguments.extend(self.root.join(&committed).is_dir().then_some(committed));
        }
        arguments.extend([
            format!("-max_total_time={seconds}"),
            "-max_len=600".to_owned(),
            // Executions per second.
            "-print_final_stats=1".to_owned(),
            // A unit this slow, or one that needs this much memory, is a finding like a panic.
            "-timeout=5".to_owned(),
            "-rss_limit_mb=1024".to_owned(),
            format!("-artifact_prefix={}/", self.dir("artifacts", target)),
        ]);
        Command::new(&program, &program.to_string_lossy(), arguments)
    }

    fn dir(&self, kind: &str, target: &str) -> String {
        self.home.join(kind).join(target).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        Workspace {
            root: std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned(),
            target: env::temp_dir(),
            packages: Vec::new(),
        }
    }

    #[test]
    fn every_target_is_fuzzed_in_ci_and_the_canary_must_be_found() {
        let workspace = workspace();
        let targets = targets(&workspace).unwrap();
        assert!(
            targets.contains(&"length_prefixed".to_owned()) && !targets.contains(&CANARY.to_owned()),
            "{targets:?}"
        );
        let step = ci_step(&workspace);
        let lines: Vec<_> = step.commands.iter().map(ToString::to_string).collect();
        for target in &targets {
            let corpus = format!("tests/fuzz/corpus/{target} ");
            assert_eq!(lines.iter().filter(|line| line.contains(&corpus)).count(), 1, "{target}: {lines:?}");
        }
        assert_eq!(lines.last().unwrap(), "cargo xtask fuzz --canary");
        assert!(lines[0].contains("-sanitizer-coverage-inline-8bit-counters"), "{}", lines[0]);
    }

    #[test]
    fn only_the_planted_mistake_counts_as_found() {
        let found =
            "panicked at ...\nframing Forgetful(...), limit 1\nartifact_prefix='x'; Test unit written to x/crash-1\n";
        assert!(is_found(false, found));
        assert!(!is_found(true, "Done 1000 runs in 60 second(s)\n"));
        assert!(!is_found(false, "error while loading shared libraries\n"));
        assert!(!is_found(false, "libFuzzer: out-of-memory\nTest unit written to x/oom-1\n"));
    }
}
