//! Pure code reads no clock, starts no thread, opens nothing and names no runtime.
//!
//! There are two checks: the dependencies of a pure crate's plain build, and the text of its plain code.

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use xshell::{Shell, cmd};

use super::{code, problem::Problem, tree::Tree};
use crate::workspace::{self, Workspace};

/// Crates that are pure when built without features.
const PURE_CRATES: &[&str] = &["cancel-kit", "frame-codec", "packetizer", "zk-proto"];

/// Pure modules of other crates, and the modules below them: the decisions beside the loop.
const PURE_FILES: &[&str] = &[
    "crates/socket-file/src/dot_files.rs",
    "crates/fs-watch/src/roster.rs",
    "crates/socket-file/src/liveness.rs",
    "crates/fs-watch/src/probes.rs",
    "crates/fs-watch/src/pace.rs",
    "crates/fs-watch/src/health.rs",
    "crates/fs-watch/src/filesystem.rs",
    "crates/unix-diag/src/wire.rs",
    "crates/mpsr-server/src/schedule.rs",
];

/// Never a dependency of a pure crate.
const NOT_BELOW: &[&str] = &["tokio", "mio", "notify"];

/// Never in pure code.
const NOT_IN_CODE: &[&str] =
    &["tokio", "mio", "notify", "Instant::now", "SystemTime", "UnixStream", "UnixListener", "UnixDatagram"];

/// Never in pure code, as `std::fs` or as `std::{fmt, fs}`.
const NOT_OF_STD: &[&str] = &["env", "fs", "net", "process", "thread"];

/// Asks cargo for the dependencies of each pure crate.
pub(super) fn check_builds(workspace: &Workspace) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let shell = Shell::new()?;
    let cargo = workspace::cargo();
    for name in PURE_CRATES.iter().filter(|name| workspace.crates().any(|package| package.name.as_str() == **name)) {
        let tree = cmd!(
            shell,
            "{cargo} tree --locked --package {name} --edges normal,build --no-default-features --prefix none"
        )
        .quiet()
        .read()
        .with_context(|| format!("cargo cannot tell what is below {name}"))?;
        problems.extend(below(name, &tree));
    }
    Ok(problems)
}

/// The forbidden entries in the output of `cargo tree --prefix none`.
fn below(name: &str, tree: &str) -> Vec<Problem> {
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|dependency| NOT_BELOW.contains(dependency))
        .map(|dependency| format!("{name}: pure without features, but {dependency} is below it"))
        .collect()
}

/// Looks for forbidden names in the plain code of pure crates and modules.
pub(super) fn check_code(tree: &Tree) -> Result<Vec<Problem>> {
    let roots = PURE_CRATES.iter().map(|name| format!("crates/{name}/src/lib.rs"));
    let mut to_do: Vec<String> = roots.chain(PURE_FILES.iter().map(|&path| path.to_owned())).collect();
    let mut problems = Vec::new();
    // Each file, and the files of the modules that its plain code declares, recursively.
    while let Some(path) = to_do.pop() {
        let Some(source) = tree.get(&path) else { continue };
        let plain = code::plain(code::parse(source).with_context(|| path.clone())?);
        // `a/lib.rs` declares modules of `a/`, `a/b.rs` those of `a/b/`.
        let dir = path.strip_suffix("/lib.rs").or(path.strip_suffix(".rs")).expect("only Rust files are followed");
        to_do.extend(code::modules(&plain).iter().map(|name| format!("{dir}/{name}.rs")));
        let found = forbidden(&plain).into_iter();
        problems.extend(found.map(|(name, line)| format!("{path}:{line}: pure code names `{name}`")));
    }
    problems.sort();
    Ok(problems)
}

/// The forbidden names in `code`, each with its line.
fn forbidden(code: &TokenStream) -> Vec<(String, usize)> {
    let words = code::flat(code);
    let starts_with = |at: usize, path: &str| {
        // Paths are split at their colons: `Instant`, `:`, `:`, `now`.
        let parts: Vec<&str> = path.split("::").flat_map(|part| [":", ":", part]).skip(2).collect();
        words.len() >= at + parts.len() && parts.iter().zip(&words[at..]).all(|(part, (word, _))| part == word)
    };
    let mut found: Vec<(String, usize)> = Vec::new();
    for (at, (_, line)) in words.iter().enumerate() {
        found.extend(NOT_IN_CODE.iter().filter(|path| starts_with(at, path)).map(|path| ((*path).to_owned(), *line)));
    }
    of_std(code.clone(), &mut found);
    found
}

/// Finds `std::fs` and `std::{fmt, fs}` at any depth.
fn of_std(code: TokenStream, found: &mut Vec<(String, usize)>) {
    let tokens: Vec<TokenTree> = code.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            of_std(group.stream(), found);
        }
        let is_std = matches!(token, TokenTree::Ident(word) if word == "std");
        let Some(next) = tokens.get(at + 3).filter(|_| is_std && tokens[at + 1].to_string() == ":") else { continue };
        let line = token.span().start().line;
        for (word, _) in code::flat(&next.clone().into()) {
            found.extend(NOT_OF_STD.contains(&word.as_str()).then(|| (format!("std::{word}"), line)));
        }
    }
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
        // This package depends on anyhow; if the format changes, the check must not become blind.
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
            let problems = check_code(&tree).unwrap();
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
        assert_eq!(check_code(&tree).unwrap(), [""; 0]);
    }

    #[test]
    fn a_pure_module_of_an_impure_crate_is_looked_at() {
        let tree = Tree::from([
            ("crates/fs-watch/src/roster.rs", "//! R.\nmod known;\nuse std::fs;\n"),
            ("crates/fs-watch/src/roster/known.rs", "//! K.\nuse std::net;\n"),
        ]);
        assert_eq!(check_code(&tree).unwrap().len(), 2);
    }
}
