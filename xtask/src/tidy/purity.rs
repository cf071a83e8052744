//! Pure code reads no clock, starts no thread, opens nothing and names no runtime.
//!
//! Checked twice: what cargo puts under a pure crate's plain build, and what its plain code says.

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::{Problem, code, tree::Tree};
use crate::workspace::{self, Workspace};

/// Crates that are pure when built without features.
const PURE_CRATES: &[&str] = &["cancel-kit", "frame-codec", "packetizer", "zk-proto"];

/// Pure modules of crates that are not, and what is below them: the decisions beside the loop.
const PURE_FILES: &[&str] = &[
    "crates/socket-file/src/dot_files.rs",
    "crates/fs-watch/src/roster.rs",
    "crates/socket-file/src/liveness.rs",
    "crates/fs-watch/src/ladder.rs",
    "crates/fs-watch/src/pace.rs",
    "crates/fs-watch/src/health.rs",
    "crates/fs-watch/src/filesystem.rs",
    "crates/unix-diag/src/wire.rs",
];

/// Never below a pure crate.
const NOT_BELOW: &[&str] = &["tokio", "mio", "notify"];

/// Never in pure code.
const NOT_IN_CODE: &[&str] =
    &["tokio", "mio", "notify", "Instant::now", "SystemTime", "UnixStream", "UnixListener", "UnixDatagram"];

/// Never in pure code, as `std::fs` or as `std::{fmt, fs}`.
const NOT_OF_STD: &[&str] = &["env", "fs", "net", "process", "thread"];

/// Asks cargo what is below each pure crate.
pub(super) fn check_builds(workspace: &Workspace) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let shell = Shell::new()?;
    let cargo = workspace::cargo();
    let locked = workspace.has_lock().then_some("--locked");
    for name in PURE_CRATES.iter().filter(|name| workspace.crates().any(|package| package.name == **name)) {
        let tree = cmd!(
            shell,
            "{cargo} tree {locked...} --package {name} --edges normal,build --no-default-features --prefix none"
        )
        .quiet()
        .read()
        .with_context(|| format!("cargo cannot tell what is below {name}"))?;
        problems.extend(below(name, &tree));
    }
    Ok(problems)
}

/// What `cargo tree --prefix none` lists and must not.
fn below(name: &str, tree: &str) -> Vec<Problem> {
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|dependency| NOT_BELOW.contains(dependency))
        .map(|dependency| format!("{name}: pure without features, but {dependency} is below it"))
        .collect()
}

/// Looks for forbidden names in the plain code of pure crates and modules.
pub(super) fn check_code(tree: &Tree) -> Vec<Problem> {
    let roots = PURE_CRATES.iter().map(|name| format!("crates/{name}/src/lib.rs"));
    let roots = roots.chain(PURE_FILES.iter().map(|&path| path.to_owned()));
    let files = roots.flat_map(|root| plain_files(tree, &root));
    let mut problems = Vec::new();
    for path in files {
        let Some(source) = tree.get(&path) else { continue };
        let plain = code::plain(source);
        let found = NOT_IN_CODE
            .iter()
            .flat_map(|name| positions(&plain, name).map(|at| (at, (*name).to_owned())).collect::<Vec<_>>());
        for (at, name) in found.chain(std_modules(&plain)) {
            let line = plain[..at].lines().count().max(1);
            problems.push(format!("{path}:{line}: pure code names `{name}`"));
        }
    }
    problems
}

/// The forbidden modules of the standard library that `code` names, each with its position.
fn std_modules(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in positions(code, "std") {
        let Some(path) = code[at..].strip_prefix("std::") else { continue };
        let group = match path.strip_prefix('{') {
            Some(_) => code::group(path),
            None => path.split(|c| !is_word(c)).next().unwrap_or(""),
        };
        for module in NOT_OF_STD.iter().filter(|module| positions(group, module).next().is_some()) {
            found.push((at, format!("std::{module}")));
        }
    }
    found
}

/// The file and the files of the modules its plain code declares, and so on.
fn plain_files(tree: &Tree, root: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut to_do = vec![root.to_owned()];
    while let Some(path) = to_do.pop() {
        let Some(source) = tree.get(&path) else { continue };
        // `a/lib.rs` declares modules of `a/`, `a/b.rs` those of `a/b/`.
        let dir = match path.strip_suffix("/lib.rs") {
            Some(dir) => dir,
            None => path.strip_suffix(".rs").expect("only Rust files are followed"),
        };
        to_do.extend(code::modules(&code::plain(source)).iter().map(|name| format!("{dir}/{name}.rs")));
        found.push(path);
    }
    found
}

/// Where `code` holds `name` with word boundaries around it.
fn positions<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> {
    code.match_indices(name)
        .map(|(at, _)| at)
        .filter(move |&at| !code[..at].ends_with(is_word) && !code[at + name.len()..].starts_with(is_word))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_below_a_pure_crate_is_found() {
        let clean = "frame-codec v0.1.0 (/x/crates/frame-codec)\nbytes v1.12.1\ntokio-like v1.0.0\n";
        assert_eq!(below("frame-codec", clean), [""; 0]);
        let planted = format!("{clean}tokio v1.54.1\nmio v1.2.4\n");
        assert_eq!(below("frame-codec", &planted).len(), 2);
    }

    #[test]
    fn what_cargo_really_prints_is_understood() {
        // This package has anyhow below it; a format change would make the check blind.
        let shell = Shell::new().unwrap();
        let cargo = workspace::cargo();
        let tree = cmd!(shell, "{cargo} tree --package xtask --edges normal --prefix none").quiet().read().unwrap();
        assert!(tree.lines().any(|line| line.split_whitespace().next() == Some("anyhow")), "{tree}");
    }

    #[test]
    fn forbidden_names_in_pure_code_are_found_with_their_line() {
        for planted in [
            "use tokio::io::AsyncRead;",
            "fn now() -> u8 { Instant::now() }",
            "use std::{\n    collections::{BTreeMap, HashMap},\n    thread,\n};",
            "std::fs::read(a)",
            "std::net::TcpStream::connect(a)",
        ] {
            let lib = format!("//! A.\nmod deep;\n{planted}\n");
            let deep = format!("//! B.\nmod er;\n{planted}\n");
            let tree = Tree::from([
                ("crates/packetizer/src/lib.rs", lib.as_str()),
                ("crates/packetizer/src/deep.rs", &deep),
                ("crates/packetizer/src/deep/er.rs", &deep),
                ("crates/uds-actor/src/lib.rs", &lib),
            ]);
            let problems = check_code(&tree);
            assert_eq!(problems.len(), 3, "{planted}: {problems:?}");
            assert!(problems.iter().all(|problem| problem.starts_with("crates/packetizer/src/")));
            assert!(problems[0].contains(".rs:"));
        }
    }

    #[test]
    fn gated_modules_and_words_are_free() {
        let lib = "//! Works with tokio.\n#[cfg(feature = \"tokio\")]\npub mod pump;\nfn tokio_like() {}\n\
            #[cfg(test)]\nmod tests { use std::thread; fn a() { std::fs::read(\"x\"); } }\n";
        let tree = Tree::from([
            ("crates/frame-codec/src/lib.rs", lib),
            ("crates/frame-codec/src/pump.rs", "//! Loop.\nuse tokio::io;\n"),
        ]);
        assert_eq!(check_code(&tree), [""; 0]);
    }

    #[test]
    fn a_pure_module_of_an_impure_crate_is_looked_at() {
        let tree = Tree::from([
            ("crates/fs-watch/src/roster.rs", "//! R.\nmod known;\nuse std::fs;\n"),
            ("crates/fs-watch/src/roster/known.rs", "//! K.\nuse std::net;\n"),
        ]);
        assert_eq!(check_code(&tree).len(), 2);
    }
}
