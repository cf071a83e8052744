//! The list of steps, derived from the workspace: a new crate, feature or test file is included automatically.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cargo_metadata::{Package, TargetKind};

use crate::{
    command::Command,
    fuzz, mutants,
    need::{self, Machine},
    step::{Group, Proof, Step},
    workspace::{Workspace, targets},
};

/// The package of tests that need several crates.
pub(crate) const TESTS: &str = "tributary-tests";
/// The test files that have a step of their own, wherever they are.
const PROP: &str = "prop";
const ZOOKEEPER: &str = "zookeeper";
const ENVIRONMENTS: &str = "environments";

/// Examples that do not end by themselves: they need a directory to watch, or a server.
const NOT_ALONE: [(&str, &str); 6] = [
    ("fs-watch", "watch"),
    ("packetizer", "redis"),
    ("zk-client", "get"),
    ("zk-client", "quickstart"),
    ("zk-client", "sessions"),
    ("zk-client", "watch_config"),
];

/// Cases of each property in `ci`; `cargo xtask prop` is for more.
const CI_CASES: u32 = 128;

/// Forced switches between threads that loom explores. Bugs of this kind need few.
const PREEMPTIONS: u32 = 2;

/// The crates with code that runs in the loom models.
const LOOM_RUNS: &[&str] = &["loom", "generator", "bytes", "frame-codec", "uds-actor"];

/// The compiler that sozu-command-lib requires.
const INTEROP_RUST: (u32, u32) = (1, 93);

const MINUTE: Duration = Duration::from_secs(60);

/// A random seed, short enough to read out.
pub(crate) fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

/// Everything that is checked, cheap steps first; heavy steps only with `--full`.
pub(crate) fn ci(workspace: &Workspace, machine: Machine, seed: u64) -> Vec<Step> {
    let mut steps = vec![
        Step::new("tidy", Group::Text, 2 * MINUTE, vec![Command::xtask(["tidy"])]),
        Step::new("fmt", Group::Text, MINUTE, vec![Command::cargo(["fmt", "--all", "--check"])])
            .needing(&[need::RUSTFMT]),
        Step::new("supply", Group::Supply, 5 * MINUTE, vec![Command::xtask(["supply"])]),
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
    steps.push(environments(workspace, machine));
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
    let doc = cargo(&["doc", "--workspace", "--all-features", "--no-deps"]);
    steps.push(Step::new("doc", Group::Docs, 15 * MINUTE, vec![doc.with_variable("RUSTDOCFLAGS", "-D warnings")]));
    steps.extend(workspace.crates().map(|package| features(machine, package)));
    steps.push(bench(workspace));
    steps.push(msrv(workspace));
    steps.extend(package(workspace));
    steps.push(loom(workspace, None));
    steps.push(interop(workspace).heavy());
    let deny = ["deny", "--locked", "--all-features", "check", "bans", "licenses", "sources"];
    steps.push(Step::new("deny", Group::Supply, 3 * MINUTE, vec![Command::cargo(deny)]).needing(&[need::DENY]).heavy());
    steps.push(Step::new("api", Group::Docs, 20 * MINUTE, vec![Command::xtask(["api"])]).heavy());
    steps.extend(mutants::ci_steps().into_iter().map(Step::heavy));
    steps
}

/// The tests package without the environments, including a real Apache ZooKeeper.
pub(crate) fn integration(workspace: &Workspace, machine: Machine) -> Vec<Step> {
    let alone = [PROP, ENVIRONMENTS];
    let packages = workspace.packages.iter().filter(|package| package.name.as_str() == TESTS);
    let names = packages.flat_map(|package| targets(package, TargetKind::Test)).filter(|name| !alone.contains(name));
    let (zookeeper, others): (Vec<&str>, Vec<&str>) = names.partition(|&name| name == ZOOKEEPER);
    vec![
        tests("integration", machine, others),
        tests("zookeeper", machine, zookeeper).needing(&[need::JAVA, need::APT, need::DPKG]),
    ]
}

/// Every command of the tool in every environment that this machine can create; the tests print `SKIPPED` for the
/// others.
pub(crate) fn environments(workspace: &Workspace, machine: Machine) -> Step {
    tests("environments", machine, anywhere(workspace, ENVIRONMENTS))
}

/// The property tests of every crate, from one seed.
pub(crate) fn prop(workspace: &Workspace, machine: Machine, cases: u32, seed: u64) -> Step {
    let mut step = tests("prop", machine, anywhere(workspace, PROP));
    for command in &mut step.commands {
        *command = command
            .clone()
            .with_variable("PROPTEST_CASES", cases.to_string())
            // As many for each case as the default has for 256 cases.
            .with_variable("PROPTEST_MAX_GLOBAL_REJECTS", cases.saturating_mul(4).max(1024).to_string())
            .with_variable("PROPTEST_RNG_SEED", seed.to_string());
    }
    step
}

/// The models are unit tests of `uds-actor` under our own `cfg`. The flag rebuilds everything, so they have their own
/// target directory. Only the code that the models run is optimised; the rest compiles as fast as possible.
pub(crate) fn loom(workspace: &Workspace, preemptions: Option<u32>) -> Step {
    let optimised =
        LOOM_RUNS.iter().flat_map(|name| ["--config".to_owned(), format!("profile.dev.package.{name}.opt-level=2")]);
    let arguments = ["test", "--locked", "--package", "uds-actor", "--lib", "loom_check", "--", "--nocapture"];
    let command = Command::cargo(arguments)
        .with_arguments(optimised)
        .with_variable("RUSTFLAGS", "--cfg loom_check")
        .with_variable("CARGO_PROFILE_DEV_DEBUG", "0")
        .with_variable("CARGO_TARGET_DIR", workspace.target.join("loom").display().to_string())
        .with_variable("LOOM_MAX_PREEMPTIONS", preemptions.unwrap_or(PREEMPTIONS).to_string());
    Step::new("loom", Group::Test, 60 * MINUTE, vec![command]).proving(Proof::TestsRan)
}

/// Our crates against other programs, byte for byte.
fn interop(workspace: &Workspace) -> Step {
    // `.cargo/config.toml` there names the Protocol Buffers compiler, but only for a cargo that runs in that directory.
    let protoc = workspace.root.join("tests/interop/protoc/protoc").display().to_string();
    let command = outside(workspace, "tests/interop", "test").with_variable("PROTOC", protoc);
    let is_too_old = need::rustc().is_none_or(|version| version < INTEROP_RUST);
    let reason = format!("sozu-command-lib wants Rust {}.{}: rustup update", INTEROP_RUST.0, INTEROP_RUST.1);
    Step::new("interop", Group::Test, 20 * MINUTE, vec![command])
        .proving(Proof::TestsRan)
        .idle_because(is_too_old.then_some(reason))
}

/// The benchmark as shipped. It is outside the workspace, so nothing else would notice that it no longer builds.
fn bench(workspace: &Workspace) -> Step {
    Step::new("bench", Group::Test, 30 * MINUTE, vec![outside(workspace, "tests/bench", "build")])
}

/// Cargo on a package outside the workspace, with its own lock file and our target directory.
fn outside(workspace: &Workspace, dir: &str, verb: &str) -> Command {
    let manifest = format!("{dir}/Cargo.toml");
    Command::cargo([verb, "--locked", "--manifest-path", &manifest])
        .with_variable("CARGO_TARGET_DIR", workspace.target.display().to_string())
}

/// Everything on the declared Rust version, if that toolchain is installed.
fn msrv(workspace: &Workspace) -> Step {
    let version = workspace.rust_version().unwrap_or_else(|| "1.0".to_owned());
    let arguments = ["run", &version, "cargo", "check", "--locked", "--workspace", "--all-features"];
    let target = workspace.target.join("msrv").display().to_string();
    let command = Command::new("rustup", "rustup", arguments).with_variable("CARGO_TARGET_DIR", target);
    let is_missing = !need::has_toolchain(&version);
    let install = format!("no Rust {version} here: rustup toolchain install {version} --profile minimal");
    Step::new("msrv", Group::Lint, 30 * MINUTE, vec![command]).idle_because(is_missing.then_some(install))
}

/// What would be published of each crate: that it can be packed, and, which takes minutes, that it builds alone.
fn package(workspace: &Workspace) -> [Step; 2] {
    let excluded = workspace.packages.iter().filter(|package| package.publish.is_some());
    let excluded: Vec<_> = excluded.flat_map(|package| ["--exclude", package.name.as_str()]).collect();
    let command = |more: &[&str]| {
        // This must also check uncommitted work.
        cargo(&["package", "--workspace", "--allow-dirty"]).with_arguments(more.iter().chain(&excluded).copied())
    };
    [
        Step::new("package", Group::Supply, 10 * MINUTE, vec![command(&["--no-verify"])]),
        Step::new("published", Group::Supply, 40 * MINUTE, vec![command(&[])]).heavy(),
    ]
}

/// Every example that needs no input, run to its end.
fn examples(workspace: &Workspace) -> Step {
    let build = cargo(&["build", "--workspace", "--all-features", "--examples"]);
    let runs = workspace.packages.iter().flat_map(|package| {
        let alone = |name: &&str| !NOT_ALONE.contains(&(package.name.as_str(), *name));
        targets(package, TargetKind::Example).filter(alone).map(|name| {
            let program = workspace.target.join("debug/examples").join(name);
            let shown_as = program.strip_prefix(&workspace.root).unwrap_or(&program).display().to_string();
            Command::new(program, &shown_as, [""; 0])
        })
    });
    let commands = std::iter::once(build).chain(runs).collect();
    Step::new("examples", Group::Test, 10 * MINUTE, commands)
}

/// Tests inside the crates and beside them, except those that have their own step.
fn unit(workspace: &Workspace, machine: Machine) -> Step {
    let beside: BTreeSet<&str> = workspace
        .packages
        .iter()
        .filter(|package| package.name.as_str() != TESTS)
        .flat_map(|package| targets(package, TargetKind::Test))
        .filter(|&name| name != PROP && name != ENVIRONMENTS)
        .collect();
    let mut arguments = vec!["--lib", "--bins"];
    arguments.extend(beside.iter().flat_map(|name| ["--test", name]));
    Step::new("test", Group::Test, 20 * MINUTE, vec![runner(machine, &arguments)]).proving(Proof::TestsRan)
}

/// The name, if some package has such a test file.
fn anywhere<'a>(workspace: &Workspace, name: &'a str) -> Vec<&'a str> {
    let exists = workspace.packages.iter().any(|package| targets(package, TargetKind::Test).any(|other| other == name));
    Vec::from_iter(exists.then_some(name))
}

/// A step that runs the test files called `names`, wherever they are.
fn tests(step: &str, machine: Machine, names: Vec<&str>) -> Step {
    let arguments: Vec<&str> = names.iter().flat_map(|name| ["--test", name]).collect();
    let is_empty = names.is_empty();
    let commands = if is_empty { Vec::new() } else { vec![runner(machine, &arguments)] };
    Step::new(step, Group::Test, 15 * MINUTE, commands)
        .proving(Proof::TestsRan)
        .idle_because(is_empty.then(|| "no such tests in the workspace".to_owned()))
}

/// Always all features of all packages, so that each step reuses the build of the last one.
fn runner(machine: Machine, arguments: &[&str]) -> Command {
    let command = if machine.nextest {
        cargo(&["nextest", "run", "--profile", "ci", "--workspace", "--all-features"])
    } else {
        // A test that skips itself prints that, and we must see it.
        cargo(&["test", "--workspace", "--all-features", "--no-fail-fast", "--", "--show-output"])
    };
    command.with_arguments(arguments.iter().copied())
}

/// The crate by itself, with no feature, with each feature, with all.
fn features(machine: Machine, package: &Package) -> Step {
    // Clippy checks what `check` checks, and can deny warnings without rebuilding all dependencies.
    let (verb, strict): (&str, &[&str]) =
        if machine.clippy { ("clippy", &["--", "-D", "warnings"]) } else { ("check", &[]) };
    let commands = feature_sets(package)
        .into_iter()
        .map(|set| {
            let mut arguments = vec![verb, "--package", &package.name];
            arguments.extend(set);
            arguments.extend(strict);
            cargo(&arguments)
        })
        .collect();
    Step::new(format!("features/{}", package.name), Group::Features, 10 * MINUTE, commands)
}

/// The flags of each feature set. Cargo notices sets that come to the same and builds them once.
fn feature_sets(package: &Package) -> Vec<Vec<&str>> {
    let mut sets = vec![vec!["--no-default-features"]];
    sets.extend(package.features.keys().map(|name| vec!["--no-default-features", "--features", name]));
    if package.features.len() > 1 {
        sets.push(vec!["--all-features"]);
    }
    sets
}

/// Cargo with the lock file fixed.
fn cargo(arguments: &[&str]) -> Command {
    Command::cargo(arguments.iter().copied()).with_arguments(["--locked"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::fake::{package, workspace};

    const MACHINE: Machine = Machine { nextest: true, clippy: true };

    fn a() -> Package {
        package("a", &[("prop", "test"), ("garbage", "test")])
    }

    fn sets(features: &[&str]) -> Vec<String> {
        let mut package = a();
        package.features = features.iter().map(|&name| (name.to_owned(), Vec::new())).collect();
        feature_sets(&package).iter().map(|flags| flags.join(" ")).collect()
    }

    #[test]
    fn a_crate_without_features_is_built_once() {
        assert_eq!(sets(&[]), ["--no-default-features"]);
    }

    #[test]
    fn every_feature_is_built_alone_and_all_together() {
        assert_eq!(sets(&["a"]), ["--no-default-features", "--no-default-features --features a"]);
        let three = ["", " --features b", " --features default"].map(|more| format!("--no-default-features{more}"));
        assert_eq!(sets(&["default", "b"]), [&three[..], &["--all-features".to_owned()]].concat());
    }

    #[test]
    fn every_test_file_is_run_by_exactly_one_step() {
        let tests = package(TESTS, &[("zookeeper", "test"), ("kill", "test"), ("environments", "test")]);
        let steps = ci(&workspace(vec![a(), tests]), MACHINE, 1);
        for name in ["prop", "garbage", "zookeeper", "kill", "environments"] {
            let commands = steps.iter().flat_map(|step| &step.commands);
            let runs = commands.filter(|command| command.to_string().contains(&format!("--test {name}"))).count();
            assert_eq!(runs, 1, "{name}");
        }
    }

    #[test]
    fn every_example_that_needs_no_one_is_run() {
        let watcher = package("fs-watch", &[("watch", "example"), ("alone", "example")]);
        let other = package("a", &[("watch", "example")]); // with the same name, but another program
        let step = examples(&workspace(vec![watcher, other]));
        let lines: Vec<_> = step.commands.iter().map(Command::to_string).collect();
        assert_eq!(lines[1..], ["target/debug/examples/alone", "target/debug/examples/watch"]);
        assert!(lines[0].starts_with("cargo build --workspace --all-features --examples"), "{lines:?}");
    }

    #[test]
    fn steps_have_names_of_their_own_and_a_limit() {
        let steps = ci(&workspace(vec![a()]), MACHINE, 1);
        let names: BTreeSet<_> = steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names.len(), steps.len());
        assert!(steps.iter().all(|step| step.limit > Duration::ZERO));
        assert!(steps.iter().all(|step| step.idle.is_some() || !step.commands.is_empty()));
        assert!(names.is_superset(&BTreeSet::from(["features/a", "loom", "interop", "bench", "fuzz", "msrv"])));
    }

    #[test]
    fn the_readme_names_what_plain_ci_leaves_out() {
        let readme = include_str!("../../README.md");
        for step in ci(&workspace(vec![a()]), MACHINE, 1).iter().filter(|step| step.is_heavy) {
            let name = step.name.split('/').next().unwrap();
            assert!(readme.contains(&format!("`{name}`")), "README.md does not say that ci leaves out `{name}`");
        }
    }

    #[test]
    fn the_seed_of_a_property_run_is_in_its_line() {
        let step = prop(&workspace(vec![a()]), MACHINE, 7, 42);
        assert_eq!(step.idle, None);
        let line = step.commands[0].to_string();
        assert!(line.starts_with("PROPTEST_CASES=7 "), "{line}");
        assert!(line.contains(" PROPTEST_RNG_SEED=42 cargo nextest run"), "{line}");
        assert!(prop(&workspace(Vec::new()), MACHINE, 7, 42).idle.is_some());
    }
}
