//! The list of steps, read off the workspace: a new crate, feature or test file is in it by existing.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    command::Command,
    fuzz, need,
    step::{Group, Proof, Step},
    workspace::{Package, Workspace},
};

/// The package of tests that need several crates.
pub(crate) const TESTS: &str = "tributary-tests";
/// The test files that have a step of their own, wherever they are.
const PROP: &str = "prop";
const ZOOKEEPER: &str = "zookeeper";

/// Examples that do not end by themselves: they are given something to watch, or a server to talk to.
const NOT_ALONE: [(&str, &str); 2] = [("fs-watch", "watch"), ("zk-client", "quickstart")];

/// Cases of each property in `ci`; `cargo xtask prop` is for more.
const CI_CASES: u32 = 128;

const MINUTE: Duration = Duration::from_secs(60);

/// What the machine has that changes how steps run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) nextest: bool,
    pub(crate) clippy: bool,
}

impl Machine {
    pub(crate) fn look() -> Self {
        Self { nextest: need::NEXTEST.is_met(), clippy: need::CLIPPY.is_met() }
    }
}

/// Everything CI checks, cheap things first.
pub(crate) fn ci(workspace: &Workspace, machine: Machine, seed: u64) -> Vec<Step> {
    let cargo = |arguments: &[&str]| cargo(workspace, arguments);
    let mut steps = vec![
        Step::new("tidy", Group::Text, 2 * MINUTE, vec![Command::xtask(["tidy"])]),
        Step::new("fmt", Group::Text, MINUTE, vec![Command::cargo(["fmt", "--all", "--check"])])
            .needing(&[need::RUSTFMT]),
        Step::new(
            "deny",
            Group::Supply,
            3 * MINUTE,
            vec![cargo(&["deny", "--all-features", "check", "bans", "licenses", "sources"])],
        )
        .needing(&[need::DENY]),
        Step::new(
            "clippy",
            Group::Lint,
            15 * MINUTE,
            vec![cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])],
        )
        .needing(&[need::CLIPPY]),
        unit(workspace, machine),
    ];
    steps.extend(integration(workspace, machine));
    steps.push(examples(workspace));
    steps.push(prop(workspace, machine, CI_CASES, seed));
    steps.push(fuzz::ci_step(workspace));
    steps.push(
        Step::new(
            "doctest",
            Group::Docs,
            15 * MINUTE,
            vec![cargo(&["test", "--workspace", "--all-features", "--doc"])],
        )
        .proving(Proof::TestsRan),
    );
    steps.push(Step::new(
        "doc",
        Group::Docs,
        15 * MINUTE,
        vec![
            cargo(&["doc", "--workspace", "--all-features", "--no-deps"]).with_variable("RUSTDOCFLAGS", "-D warnings"),
        ],
    ));
    steps.extend(workspace.crates().map(|package| features(workspace, machine, package)));
    steps
}

/// The tests package, real Apache ZooKeeper included.
pub(crate) fn integration(workspace: &Workspace, machine: Machine) -> Vec<Step> {
    let names: Vec<&str> = workspace
        .packages
        .iter()
        .filter(|package| package.name == TESTS)
        .flat_map(Package::tests)
        .filter(|&name| name != PROP)
        .collect();
    let (zookeeper, others): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|&name| name == ZOOKEEPER);
    vec![
        tests("integration", workspace, machine, &others),
        tests("zookeeper", workspace, machine, &zookeeper).needing(&[need::JAVA, need::APT, need::DPKG]),
    ]
}

/// The property tests of every crate, from one seed.
pub(crate) fn prop(workspace: &Workspace, machine: Machine, cases: u32, seed: u64) -> Step {
    let exists = workspace.packages.iter().any(|package| package.tests().any(|name| name == PROP));
    let names: &[&str] = if exists { &[PROP] } else { &[] };
    let mut step = tests("prop", workspace, machine, names);
    for command in &mut step.commands {
        *command = command
            .clone()
            .with_variable("PROPTEST_CASES", cases.to_string())
            // As many for each case as there are by default, where the default is for 256.
            .with_variable("PROPTEST_MAX_GLOBAL_REJECTS", cases.saturating_mul(4).max(1024).to_string())
            .with_variable("PROPTEST_RNG_SEED", seed.to_string());
    }
    step
}

/// Every example that needs nobody, run to its end.
fn examples(workspace: &Workspace) -> Step {
    let build = cargo(workspace, &["build", "--workspace", "--all-features", "--examples"]);
    let runs = workspace.packages.iter().flat_map(|package| {
        let alone = |name: &&str| !NOT_ALONE.contains(&(package.name.as_str(), *name));
        package.examples().filter(alone).map(|name| {
            let program = workspace.target.join("debug/examples").join(name);
            let shown_as = program.strip_prefix(&workspace.root).unwrap_or(&program).display().to_string();
            Command::new(program, &shown_as, [""; 0])
        })
    });
    let commands = std::iter::once(build).chain(runs).collect();
    Step::new("examples", Group::Test, 10 * MINUTE, commands)
}

/// Tests inside the crates, and beside them but for those with a step of their own.
fn unit(workspace: &Workspace, machine: Machine) -> Step {
    let beside: BTreeSet<&str> = workspace
        .packages
        .iter()
        .filter(|package| package.name != TESTS)
        .flat_map(Package::tests)
        .filter(|&name| name != PROP)
        .collect();
    let mut arguments = vec!["--lib", "--bins"];
    arguments.extend(beside.iter().flat_map(|name| ["--test", name]));
    Step::new("test", Group::Test, 20 * MINUTE, vec![runner(workspace, machine, &arguments)]).proving(Proof::TestsRan)
}

/// A step that runs the test files called `names`, wherever they are.
fn tests(step: &str, workspace: &Workspace, machine: Machine, names: &[&str]) -> Step {
    let arguments: Vec<&str> = names.iter().flat_map(|name| ["--test", name]).collect();
    let mut step = Step::new(step, Group::Test, 15 * MINUTE, vec![runner(workspace, machine, &arguments)])
        .proving(Proof::TestsRan);
    if names.is_empty() {
        step.idle = Some("no such tests in the workspace".into());
        step.commands.clear();
    }
    step
}

/// All features of all packages every time, so that each step finds the last one's build.
fn runner(workspace: &Workspace, machine: Machine, arguments: &[&str]) -> Command {
    let command = if machine.nextest {
        cargo(workspace, &["nextest", "run", "--profile", "ci", "--workspace", "--all-features"])
    } else {
        cargo(workspace, &["test", "--workspace", "--all-features", "--no-fail-fast"])
    };
    command.with_arguments(arguments.iter().copied())
}

/// The crate without its neighbours, with no feature, with each, with all.
fn features(workspace: &Workspace, machine: Machine, package: &Package) -> Step {
    // Clippy checks what `check` checks and can deny warnings without a rebuild of everything below.
    let (verb, strict): (&str, &[&str]) =
        if machine.clippy { ("clippy", &["--", "-D", "warnings"]) } else { ("check", &[]) };
    let commands = feature_sets(package)
        .into_iter()
        .map(|set| {
            let mut arguments = vec![verb, "--package", &package.name];
            arguments.extend(set.iter().map(String::as_str));
            arguments.extend(strict);
            cargo(workspace, &arguments)
        })
        .collect();
    Step::new(format!("features/{}", package.name), Group::Features, 10 * MINUTE, commands)
}

/// The flags of each feature set worth a build: sets that switch on the same things are built once.
fn feature_sets(package: &Package) -> Vec<Vec<String>> {
    let names = || package.features.iter().map(|(name, _)| name.as_str());
    let mut candidates = vec![(vec!["--no-default-features".to_owned()], BTreeSet::new())];
    if names().any(|name| name == "default") {
        candidates.push((Vec::new(), closure(package, ["default"])));
    }
    candidates.extend(names().filter(|&name| name != "default").map(|name| {
        let flags = ["--no-default-features", "--features", name].map(str::to_owned).to_vec();
        (flags, closure(package, [name]))
    }));
    candidates.push((vec!["--all-features".to_owned()], closure(package, names())));

    let mut seen = BTreeSet::new();
    candidates.into_iter().filter(|(_, on)| seen.insert(on.clone())).map(|(flags, _)| flags).collect()
}

/// The features that are on once `names` are, `default` itself not counted: it says nothing of its own.
fn closure<'a>(package: &'a Package, names: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut on = BTreeSet::new();
    let mut to_do: Vec<&str> = names.into_iter().collect();
    while let Some(name) = to_do.pop() {
        if let Some((_, switches)) = package.features.iter().find(|(known, _)| known == name)
            && on.insert(name)
        {
            to_do.extend(switches.iter().map(String::as_str));
        }
    }
    on.remove("default");
    on
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Command {
    let command = Command::cargo(arguments.iter().copied());
    if !workspace.has_lock() {
        return command;
    }
    // cargo-deny takes cargo's options before its own subcommand.
    if arguments.first() == Some(&"deny") {
        let (first, rest) = arguments.split_at(1);
        return Command::cargo(first.iter().chain(&["--locked"]).chain(rest).copied());
    }
    command.with_arguments(["--locked"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Target;

    const MACHINE: Machine = Machine { nextest: true, clippy: true };

    fn package(features: &[(&str, &[&str])]) -> Package {
        Package {
            name: "a".into(),
            dir: "crates/a".into(),
            features: features
                .iter()
                .map(|(name, on)| ((*name).into(), on.iter().map(|&on| on.to_owned()).collect()))
                .collect(),
            targets: vec![
                Target { name: "prop".into(), kind: "test".into() },
                Target { name: "garbage".into(), kind: "test".into() },
            ],
            ..Package::default()
        }
    }

    fn workspace(packages: Vec<Package>) -> Workspace {
        Workspace { root: "/nowhere".into(), target: "/nowhere/target".into(), packages }
    }

    fn sets(features: &[(&str, &[&str])]) -> Vec<String> {
        feature_sets(&package(features)).iter().map(|flags| flags.join(" ")).collect()
    }

    #[test]
    fn a_crate_without_features_is_built_once() {
        assert_eq!(sets(&[]), ["--no-default-features"]);
        assert_eq!(sets(&[("default", &[])]), ["--no-default-features"]);
    }

    #[test]
    fn every_feature_is_built_alone_and_equal_sets_once() {
        assert_eq!(sets(&[("default", &["dir"]), ("dir", &["dep:fs-watch"])]), ["--no-default-features", ""]);
        assert_eq!(
            sets(&[("default", &["a"]), ("a", &[]), ("b", &["a"]), ("c", &[])]),
            [
                "--no-default-features",
                "",
                "--no-default-features --features b",
                "--no-default-features --features c",
                "--all-features"
            ]
        );
    }

    #[test]
    fn every_test_file_is_run_by_exactly_one_step() {
        let mut tests = package(&[]);
        tests.name = TESTS.into();
        tests.targets = ["zookeeper", "kill"].map(|name| Target { name: name.into(), kind: "test".into() }).to_vec();
        let workspace = workspace(vec![package(&[]), tests]);
        let steps = ci(&workspace, MACHINE, 1);
        for name in ["prop", "garbage", "zookeeper", "kill"] {
            let runs = steps
                .iter()
                .flat_map(|step| &step.commands)
                .filter(|command| command.to_string().contains(&format!("--test {name}")))
                .count();
            assert_eq!(runs, 1, "{name}");
        }
    }

    #[test]
    fn every_example_that_needs_nobody_is_run() {
        let example = |name: &str| Target { name: name.into(), kind: "example".into() };
        let mut watcher = package(&[]);
        watcher.name = "fs-watch".into();
        watcher.targets = vec![example("watch"), example("alone")];
        let mut other = package(&[]);
        other.targets = vec![example("watch")]; // of the same name, and another program
        let step = examples(&workspace(vec![watcher, other]));
        let lines: Vec<_> = step.commands.iter().map(Command::to_string).collect();
        assert_eq!(lines[1..], ["target/debug/examples/alone", "target/debug/examples/watch"]);
        assert!(lines[0].starts_with("cargo build --workspace --all-features --examples"), "{lines:?}");
    }

    #[test]
    fn steps_have_names_of_their_own_and_a_limit() {
        let steps = ci(&workspace(vec![package(&[])]), MACHINE, 1);
        let names: BTreeSet<_> = steps.iter().map(|step| &step.name).collect();
        assert_eq!(names.len(), steps.len());
        assert!(
            steps.iter().all(|step| step.limit > Duration::ZERO && step.commands.is_empty() == step.idle.is_some())
        );
        assert!(names.contains(&"features/a".to_owned()));
    }

    #[test]
    fn the_seed_of_a_property_run_is_in_its_line() {
        let step = prop(&workspace(vec![package(&[])]), MACHINE, 7, 42);
        assert_eq!(step.idle, None);
        let line = step.commands[0].to_string();
        assert!(
            line.starts_with("PROPTEST_CASES=7 ") && line.contains(" PROPTEST_RNG_SEED=42 cargo nextest run"),
            "{line}"
        );
        assert!(prop(&workspace(Vec::new()), MACHINE, 7, 42).idle.is_some());
    }
}
