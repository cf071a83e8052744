//! The list of steps (`xtask/steps.toml`), and what its `{placeholders}` stand for: a new crate, feature, example or fuzz target
//! is included automatically.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Package, TargetKind};
use serde::Deserialize;

use crate::{
    step::Step,
    tools,
    workspace::{Workspace, targets},
};

/// The targets of the fuzzer, each a file of the same name.
const FUZZ: &str = "tests/fuzz/src/bin";
/// The one that must fail.
const CANARY: &str = "canary";

/// The steps, and what their lines stand for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    values: BTreeMap<String, String>,
    /// A line is repeated for each item.
    lists: BTreeMap<String, Vec<String>>,
    #[serde(rename = "step")]
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    pub(crate) fn of(workspace: &Workspace) -> Result<Self> {
        let mut plan: Self = toml::from_str(include_str!("../steps.toml")).context("xtask/steps.toml")?;
        let nextest = tools::has("cargo-nextest")?;
        let clippy = tools::has("cargo-clippy")?;
        let target = workspace.target.strip_prefix(&workspace.root).unwrap_or(&workspace.target);
        let choose = |one: bool, yes: &str, no: &str| if one { yes } else { no }.to_owned();
        for (name, value) in [
            ("root", quoted(workspace.root.display())),
            ("target", quoted(target.display())),
            ("host", said("rustc", ["--print", "host-tuple"])?),
            ("msrv", workspace.rust_version().context("no rust-version")?),
            // A test that skips itself prints that, and we must see it.
            ("shown", choose(nextest, "", " -- --show-output")),
            ("test", choose(nextest, "cargo nextest run --locked --profile ci", "cargo test --locked --no-fail-fast")),
            ("mutants-runner", choose(nextest, " --test-tool nextest", "")),
            ("lint", choose(clippy, "clippy", "check")),
            ("strict", choose(clippy, " -- -D warnings", "")),
            ("preemptions", "2".to_owned()),
            ("secs", "1".to_owned()),
        ] {
            plan.set(name, value);
        }
        plan.draw(128, fresh_seed());
        if let Ok(release) = said("git", ["describe", "--tags", "--abbrev=0"]) {
            plan.set("since", release);
        }
        plan.list("fuzz", fuzz_targets(&workspace.root)?);
        plan.list_packages(workspace);
        Ok(plan)
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.values.insert(name.to_owned(), value.into());
    }

    pub(crate) fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// How many cases each property draws, and from which seed.
    pub(crate) fn draw(&mut self, cases: u32, seed: u64) {
        self.set("cases", cases.to_string());
        // As many for each case as the default has for 256 cases.
        self.set("rejects", cases.saturating_mul(4).max(1024).to_string());
        self.set("seed", seed.to_string());
    }

    pub(crate) fn list(&mut self, name: &str, items: Vec<String>) {
        self.lists.insert(name.to_owned(), items);
    }

    pub(crate) fn items(&self, name: &str) -> &[String] {
        self.lists.get(name).map_or(&[], Vec::as_slice)
    }

    fn list_packages(&mut self, workspace: &Workspace) {
        let is_library = |package: &&Package| targets(package, TargetKind::Lib).next().is_some();
        let name = |package: &Package| package.name.to_string();
        self.list("library", workspace.crates().filter(is_library).map(name).collect());
        self.list("features", workspace.crates().flat_map(feature_sets).collect());
        let alone =
            |package: &Package, name: &str| !self.items("not-alone").contains(&format!("{}/{name}", package.name));
        let examples = workspace.packages.iter().flat_map(|package| {
            targets(package, TargetKind::Example).filter(|name| alone(package, name)).map(str::to_owned)
        });
        let examples: BTreeSet<_> = examples.collect();
        self.list("example", examples.into_iter().collect());
    }

    /// The commands of a step. Each can be pasted into a shell, from the repository's root.
    ///
    /// # Errors
    ///
    /// What a command needs to know is not known.
    pub(crate) fn commands(&self, step: &Step) -> Result<Vec<String>, String> {
        let lines = step.run.iter().map(|line| self.expand(line));
        Ok(lines.collect::<Result<Vec<_>, _>>()?.concat())
    }

    pub(crate) fn expand(&self, line: &str) -> Result<Vec<String>, String> {
        let name = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        let Some((name, _)) = name else { return Ok(vec![line.to_owned()]) };
        let place = format!("{{{name}}}");
        if let Some(value) = self.values.get(name) {
            return self.expand(&line.replace(&place, value));
        }
        let items = self.lists.get(name).ok_or_else(|| match name {
            "since" => "nothing is released yet: cargo xtask api --since REVISION".to_owned(),
            _ => format!("{place} is not known"),
        })?;
        let lines = items.iter().map(|item| self.expand(&line.replace(&place, item)));
        Ok(lines.collect::<Result<Vec<_>, _>>()?.concat())
    }
}

/// A random seed, short enough to read out.
pub(crate) fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

/// A crate without features, with each, and with all. Cargo notices sets that come to the same and builds them once.
fn feature_sets(package: &Package) -> Vec<String> {
    let one = format!("--package {} --no-default-features", package.name);
    let mut sets = vec![one.clone()];
    sets.extend(package.features.keys().map(|feature| format!("{one} --features {feature}")));
    if package.features.len() > 1 {
        sets.push(format!("--package {} --all-features", package.name));
    }
    sets
}

/// The targets that must find nothing, by the names of their files.
fn fuzz_targets(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join(FUZZ)).context(FUZZ)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        names.extend(name.strip_suffix(".rs").filter(|&name| name != CANARY).map(str::to_owned));
    }
    ensure!(!names.is_empty(), "no fuzz targets in {FUZZ}");
    names.sort_unstable();
    Ok(names)
}

/// What a program prints, if it succeeds.
pub(crate) fn said<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program} fails: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `word` as a POSIX shell reads it back.
pub(crate) fn quoted(word: impl ToString) -> String {
    let word = word.to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::fake::{package, workspace};

    fn plan() -> (Workspace, Plan) {
        let workspace = Workspace::open().unwrap();
        let mut plan = Plan::of(&workspace).unwrap();
        plan.set("since", "v1");
        plan.set("peers", "zmq");
        (workspace, plan)
    }

    fn all_commands(plan: &Plan) -> Vec<String> {
        plan.steps.iter().flat_map(|step| plan.commands(step).unwrap()).collect()
    }

    #[test]
    fn steps_have_names_of_their_own_and_known_tools_and_commands() {
        let (_, plan) = plan();
        let names: BTreeSet<_> = plan.steps.iter().map(|step| &step.name).collect();
        assert_eq!(names.len(), plan.steps.len());
        for step in &plan.steps {
            assert!(!plan.commands(step).unwrap().is_empty() && !step.limit().is_zero(), "{}", step.name);
            step.needs.iter().for_each(|name| drop(tools::find(name).unwrap()));
        }
        for line in all_commands(&plan).into_iter().chain(plan.expand("{demo}{bench}").unwrap()) {
            let syntax = Command::new("sh").args(["-n", "-c", &line]).status().unwrap();
            assert!(syntax.success() && !line.contains(['{', '}']), "{line}");
        }
    }

    #[test]
    fn every_test_file_and_fuzz_target_is_run_by_exactly_one_step() {
        let (workspace, plan) = plan();
        let commands = all_commands(&plan);
        let runs = |what: &str| commands.iter().filter(|line| line.contains(what)).count();
        for name in workspace.packages.iter().flat_map(|package| targets(package, TargetKind::Test)) {
            assert_eq!(runs(&format!("--test {name}")), 1, "{name}");
        }
        for name in plan.items("fuzz") {
            assert_eq!(runs(&format!(" tests/fuzz/corpus/{name} ")), 1, "{name}");
            assert!(workspace.root.join("tests/fuzz/corpus").join(name).is_dir(), "{name}");
        }
        assert!(plan.items("fuzz").contains(&"length_prefixed".to_owned()) && runs("release/canary") == 1);
    }

    #[test]
    fn every_feature_is_built_alone_and_all_together() {
        let sets = |features: &[&str]| {
            let mut package = package("a", &[]);
            package.features = features.iter().map(|&name| (name.to_owned(), Vec::new())).collect();
            feature_sets(&package)
        };
        let none = "--package a --no-default-features";
        assert_eq!(sets(&[]), [none]);
        assert_eq!(sets(&["a"]), [none, "--package a --no-default-features --features a"]);
        let three = ["", " --features b", " --features default"].map(|more| format!("{none}{more}"));
        assert_eq!(sets(&["default", "b"]), [&three[..], &["--package a --all-features".to_owned()]].concat());
    }

    #[test]
    fn every_example_that_needs_no_one_is_run() {
        let (_, mut plan) = plan();
        let watcher = package("fs-watch", &[("watch", "example"), ("alone", "example")]);
        let other = package("a", &[("watch", "example")]); // with the same name, but another program
        plan.list_packages(&workspace(vec![watcher, other]));
        assert_eq!(plan.items("example"), ["alone", "watch"]);
    }

    #[test]
    fn a_line_is_repeated_for_each_item_and_needs_its_values() {
        let plan: Plan = toml::from_str("step = []\n[values]\na = 'x{b}'\nb = 'y'\n[lists]\nc = ['1', '2']\n").unwrap();
        assert_eq!(plan.expand("{a} {c}{c} {b}").unwrap(), ["xy 11 y", "xy 22 y"]);
        assert_eq!(plan.expand("{d}").unwrap_err(), "{d} is not known");
        assert!(plan.expand("{since}").unwrap_err().contains("--since"));
    }

    #[test]
    fn the_readme_names_what_plain_ci_leaves_out() {
        let readme = include_str!("../../README.md");
        let is_named = |step: &&Step| readme.contains(&format!("`{}`", step.name));
        assert_eq!(
            plan().1.steps.iter().filter(|step| step.heavy).find(|step| !is_named(step)).map(|step| &step.name),
            None
        );
    }

    #[test]
    fn the_seed_of_a_property_run_is_in_its_line() {
        let (_, mut plan) = plan();
        plan.draw(7, 42);
        let line = all_commands(&plan).into_iter().find(|line| line.contains("--test prop")).unwrap();
        assert!(line.starts_with("PROPTEST_CASES=7 ") && line.contains(" PROPTEST_RNG_SEED=42 cargo "), "{line}");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in ["plain", "two words", "it's", "$HOME `id` \"x\"", "a\nb", "*", ""] {
            assert_eq!(said("sh", ["-c", &format!("printf '%s.' {}", quoted(word))]).unwrap(), format!("{word}."));
        }
    }
}
