//! `cargo xtask api`: the public interface of each library crate, and what has become incompatible.
//!
//! cargo-public-api makes the listing and needs a nightly toolchain for rustdoc's JSON; cargo-semver-checks compares.
//! Listings go to `api/` in the target directory: compare two of them to review a change.

use std::{fs, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use cargo_metadata::TargetKind;
use xshell::{Shell, cmd};

use crate::{
    command::Command,
    console::say,
    flags,
    need::{self, Need},
    process, run,
    step::{Group, Step},
    workspace::{Workspace, targets},
};

const LIMIT: Duration = Duration::from_secs(900);

pub(crate) fn run(workspace: &Workspace, options: &flags::Api) -> Result<ExitCode> {
    let is_library = |package: &&_| targets(package, TargetKind::Lib).next().is_some();
    let names: Vec<&str> = workspace.crates().filter(is_library).map(|package| package.name.as_str()).collect();
    match listing_obstacle() {
        Some(reason) => say(&format!("SKIPPED the listing: {reason}")),
        None => list(workspace, &names)?,
    }
    let since = options.since.clone().or_else(last_release);
    let step = compatibility(&names, since.as_deref());
    if let Some(reason) = &step.idle {
        // `ci` reads this for its table.
        say(&format!("SKIPPED the comparison: {reason}"));
    }
    run::steps("api", &[step], true)
}

/// What has become incompatible since a revision, as far as a program can see it.
fn compatibility(names: &[&str], since: Option<&str>) -> Step {
    let check = |name: &&str| {
        Command::cargo([
            "semver-checks",
            "--package",
            *name,
            "--all-features",
            "--baseline-rev",
            since.unwrap_or("HEAD"),
        ])
    };
    let reason = since.is_none().then(|| "nothing is released yet: name a revision with --since".to_owned());
    Step::new("compatibility", Group::Docs, LIMIT, names.iter().map(check).collect())
        .needing(&[need::SEMVER])
        .idle_because(reason)
}

fn listing_obstacle() -> Option<String> {
    let missing = |need: Need| (!need.is_met()).then(|| need.complaint());
    let nightly =
        || (!need::has_toolchain("nightly")).then(|| "no nightly: rustup toolchain install nightly".to_owned());
    missing(need::PUBLIC_API).or_else(nightly)
}

/// Writes one file for each crate, with one line for each public item.
fn list(workspace: &Workspace, names: &[&str]) -> Result<()> {
    let dir = workspace.target.join("api");
    fs::create_dir_all(&dir)?;
    for name in names {
        let command = Command::cargo(["public-api", "--package", *name, "--all-features", "-sss"])
            // Another compiler, so it must not share build products with ours.
            .with_variable("CARGO_TARGET_DIR", dir.join("build").display().to_string())
            .with_variable("RUSTUP_TOOLCHAIN", "nightly");
        let outcome = process::run(&command, LIMIT)?;
        anyhow::ensure!(outcome.succeeded(), "{command}:\n{}", outcome.output);
        let items: Vec<&str> = outcome.output.lines().filter(|line| line.starts_with("pub ")).collect();
        anyhow::ensure!(!items.is_empty(), "{command} lists nothing");
        let file = dir.join(format!("{name}.txt"));
        fs::write(&file, items.join("\n") + "\n").with_context(|| format!("cannot write {}", file.display()))?;
        say(&format!("{}: {} items", file.display(), items.len()));
    }
    Ok(())
}

/// The newest tag among our ancestors, if there is one.
fn last_release() -> Option<String> {
    let shell = Shell::new().ok()?;
    cmd!(shell, "git describe --tags --abbrev=0").quiet().ignore_stderr().read().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_release_there_is_nothing_to_compare_with() {
        let step = compatibility(&["a", "b"], None);
        assert!(step.idle.is_some_and(|reason| reason.contains("--since")));
        let step = compatibility(&["a", "b"], Some("v1"));
        assert_eq!(step.idle, None);
        let lines: Vec<_> = step.commands.iter().map(ToString::to_string).collect();
        assert_eq!(lines[1], "cargo semver-checks --package b --all-features --baseline-rev v1");
    }
}
