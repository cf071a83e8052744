//! `cargo xtask mutants`: cargo-mutants changes the code a little, and some test must notice.
//!
//! A change that no test notices survives. Allowed survivors are listed in `xtask/survivors.toml`, each with a reason;
//! any other is a failure. If a score is promised, survivors on the list count against it, too.

use std::{fs, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::{
    command::Command,
    console::{complain, say},
    flags,
    need::{self, Machine},
    process,
    step::{Group, Step},
    workspace::Workspace,
};

/// Where at least this many percent of the mutants must be caught: codecs, multiplexer, roster.
const PROMISED: &[(&str, u64)] = &[("frame-codec", 95), ("packetizer", 95), ("crates/fs-watch/src/roster", 95)];
/// The allowed survivors, with reasons.
const SURVIVORS: &str = "xtask/survivors.toml";
/// For all mutants of one place.
const LIMIT: Duration = Duration::from_secs(6 * 3600);
/// Cases of each property and mutant. A mutant that so few cases miss is rare, and each case costs time in every run.
const CASES: &str = "64";

pub(crate) fn ci_steps() -> Vec<Step> {
    let step = |place: &str| {
        let name = format!("mutants/{}", place.rsplit('/').next().unwrap_or(place));
        Step::new(name, Group::Mutants, LIMIT, vec![Command::xtask(["mutants", place])]).needing(&[need::MUTANTS])
    };
    PROMISED.iter().map(|(place, _)| step(place)).collect()
}

pub(crate) fn run(workspace: &Workspace, options: &flags::Mutants) -> Result<ExitCode> {
    if !need::MUTANTS.is_met() {
        bail!("{}", need::MUTANTS.complaint());
    }
    let path = workspace.root.join(SURVIVORS);
    let listed = listed(&fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?)?;
    let places: Vec<Option<&str>> = match (&options.place, &options.diff) {
        (Some(place), _) => vec![Some(place)],
        (None, Some(_)) => vec![None],
        (None, None) => PROMISED.iter().map(|(place, _)| Some(*place)).collect(),
    };
    let mut is_well = true;
    for place in places {
        let found = test(workspace, place, options)?;
        // Part of a place says nothing about its score.
        let is_whole = options.diff.is_none() && options.shard.is_none();
        let promise = PROMISED.iter().find(|(name, _)| is_whole && place == Some(*name));
        let problems = found.problems(&listed, promise.map(|(_, percent)| *percent));
        say(&format!("mutants of {}: {}", place.unwrap_or("the difference"), found.summary()));
        problems.iter().for_each(|problem| complain(&format!("  {problem}")));
        is_well &= problems.is_empty();
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What happened to the mutants of one place.
#[derive(Debug, Default)]
struct Found {
    caught: u64,
    unviable: u64,
    /// File and change, without line and column, which move.
    missed: Vec<String>,
}

impl Found {
    fn read(outcomes: &Value) -> Option<Self> {
        let mut found = Self::default();
        for outcome in outcomes.get("outcomes")?.as_array()? {
            let Some(mutant) = outcome.get("scenario")?.get("Mutant") else { continue };
            match outcome.get("summary")?.as_str()? {
                // If a mutant makes the tests hang, it has been noticed.
                "CaughtMutant" | "Timeout" => found.caught += 1,
                "MissedMutant" => found.missed.push(without_position(mutant.get("name")?.as_str()?)),
                _ => found.unviable += 1,
            }
        }
        Some(found)
    }

    fn tested(&self) -> u64 {
        self.caught + self.missed.len() as u64
    }

    fn summary(&self) -> String {
        let percent = 100.0 * self.caught as f64 / self.tested().max(1) as f64;
        format!("{} of {} caught ({percent:.1} %), {} did not compile", self.caught, self.tested(), self.unviable)
    }

    fn problems(&self, listed: &[String], promise: Option<u64>) -> Vec<String> {
        let mut problems = Vec::new();
        if self.tested() == 0 {
            problems.push("no mutant was tested: nothing is proven".to_owned());
        }
        let unlisted = self.missed.iter().filter(|missed| !listed.contains(missed));
        problems.extend(unlisted.map(|missed| format!("survived, and is not in {SURVIVORS}: {missed}")));
        if let Some(percent) = promise.filter(|percent| self.caught * 100 < percent * self.tested()) {
            problems.push(format!("fewer than the promised {percent} % were caught"));
        }
        problems
    }
}

/// Runs cargo-mutants on a crate, on part of one, or on what differs from a revision.
fn test(workspace: &Workspace, place: Option<&str>, options: &flags::Mutants) -> Result<Found> {
    let name = place.unwrap_or("diff").replace('/', "-");
    let home = workspace.target.join("mutants").join(name);
    fs::create_dir_all(&home)?;
    let _ = fs::remove_dir_all(home.join("mutants.out"));
    let path = |path: &Path| path.display().to_string();
    let arguments =
        ["mutants", "--all-features", "--cap-lints", "true", "--colors", "never", "--cargo-arg", "--locked"];
    let mut arguments = arguments.map(str::to_owned).to_vec();
    arguments.extend(["--output".to_owned(), path(&home)]);
    if Machine::probe().nextest {
        arguments.extend(["--test-tool", "nextest"].map(str::to_owned));
    }
    if let Some(place) = place {
        arguments.extend(filters(place, |dir| workspace.root.join(dir).is_dir()));
    }
    if let Some(part) = &options.shard {
        arguments.extend(["--shard".to_owned(), part.clone()]);
    }
    if let Some(revision) = &options.diff {
        let shell = Shell::new()?;
        let text = cmd!(shell, "git diff {revision}").quiet().read()?;
        let file = home.join("difference");
        fs::write(&file, text + "\n")?;
        arguments.extend(["--in-diff".to_owned(), path(&file)]);
    }
    let command = Command::cargo(arguments)
        .with_variable("PROPTEST_CASES", CASES)
        // A case that caught one mutant would be replayed for the next one, which our tests alone might miss.
        .with_variable("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true")
        // One directory for all runs, so that dependencies are built once.
        .with_variable("CARGO_TARGET_DIR", path(&workspace.target.join("mutants/build")));
    say(&format!("$ {command}"));
    let outcome = process::run(&command, LIMIT)?;
    // 2: mutants survived; 3: some were stopped because the tests hung.
    if !matches!(outcome.status.and_then(|status| status.code()), Some(0 | 2 | 3)) {
        bail!("cargo-mutants could not do its work:\n{}", outcome.output);
    }
    let outcomes = home.join("mutants.out/outcomes.json");
    // If there is nothing to change, it writes no file.
    let Ok(text) = fs::read_to_string(&outcomes) else { return Ok(Found::default()) };
    let outcomes = serde_json::from_str(&text).context("cannot read what cargo-mutants found")?;
    Found::read(&outcomes).context("cargo-mutants reports in another form than we know")
}

/// The arguments that restrict a run: `frame-codec`, or `crates/fs-watch/src/roster` with what is below it.
fn filters(place: &str, is_dir: impl Fn(&str) -> bool) -> Vec<String> {
    let mut parts = place.split('/');
    match (parts.next(), parts.next()) {
        (Some("crates"), Some(package)) => {
            let mut filters = vec!["--package".to_owned(), package.to_owned(), "--file".to_owned()];
            filters.push(if place.ends_with(".rs") { place.to_owned() } else { format!("{place}.rs") });
            if is_dir(place) {
                filters.extend(["--file".to_owned(), format!("{place}/**/*.rs")]);
            }
            filters
        }
        _ => vec!["--package".to_owned(), place.to_owned()],
    }
}

/// `a.rs:12:5: replace x with y` without its numbers.
fn without_position(name: &str) -> String {
    match (name.split_once(':'), name.split_once(": ")) {
        (Some((file, _)), Some((_, change))) => format!("{file}: {change}"),
        _ => name.to_owned(),
    }
}

/// The mutants that may survive; each has a reason.
fn listed(text: &str) -> Result<Vec<String>> {
    let table: toml::Table = text.parse().context(SURVIVORS)?;
    let entries = table.get("survivor").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let read = |entry: &toml::Value| {
        let text = |key| entry.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        text("reason")?;
        text("mutant")
    };
    entries.iter().map(|entry| read(entry).with_context(|| format!("{SURVIVORS}: incomplete: {entry:?}"))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(summaries: &[&str]) -> Found {
        let mutant =
            |summary| json!({"summary": summary, "scenario": {"Mutant": {"name": "a/b.rs:1:2: replace c with ()"}}});
        let mut outcomes = vec![json!({"summary": "Success", "scenario": "Baseline"})];
        outcomes.extend(summaries.iter().map(mutant));
        Found::read(&json!({ "outcomes": outcomes })).unwrap()
    }

    #[test]
    fn a_run_without_mutants_proves_nothing() {
        assert_eq!(found(&[]).problems(&[], None).len(), 1);
        assert_eq!(found(&["Unviable"]).problems(&[], None).len(), 1);
        assert_eq!(found(&["CaughtMutant", "Timeout", "Unviable"]).problems(&[], Some(100)), [""; 0]);
    }

    #[test]
    fn a_survivor_has_to_be_listed_and_counts_against_the_score() {
        let found = found(&["CaughtMutant", "MissedMutant"]);
        let listed = ["a/b.rs: replace c with ()".to_owned()];
        assert_eq!(found.problems(&[], None).len(), 1);
        assert_eq!(found.problems(&listed, None), [""; 0]);
        assert_eq!(found.problems(&listed, Some(50)), [""; 0]);
        assert_eq!(found.problems(&listed, Some(51)).len(), 1);
        assert_eq!(found.summary(), "1 of 2 caught (50.0 %), 0 did not compile");
    }

    #[test]
    fn every_survivor_on_our_list_has_a_reason() {
        assert!(listed(include_str!("../survivors.toml")).is_ok());
        assert!(listed("[[survivor]]\nmutant = 'a'\n").is_err());
        assert!(listed("[[survivor]]\nmutant = 'a'\nreason = ' '\n").is_err());
    }

    #[test]
    fn a_place_is_a_crate_or_a_part_of_one() {
        assert_eq!(filters("packetizer", |_| false), ["--package", "packetizer"]);
        let roster = ["--package", "fs-watch", "--file", "crates/fs-watch/src/roster.rs"];
        assert_eq!(filters("crates/fs-watch/src/roster.rs", |_| false), roster);
        assert_eq!(filters("crates/fs-watch/src/roster", |_| true)[..4], roster);
        assert_eq!(filters("crates/fs-watch/src/roster", |_| true)[5], "crates/fs-watch/src/roster/**/*.rs");
    }
}
