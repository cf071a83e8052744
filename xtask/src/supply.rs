//! `cargo xtask supply`: our dependencies obey the licences and registries of `deny.toml`.
//!
//! cargo-deny does this and more, but takes four minutes on two idle cores to compile; `cargo xtask ci --full` runs it. This
//! command reads the same file, and checks the licence expression and the source of each package that one of our features needs.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{CargoOpt, MetadataCommand, Package};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::console::{complain, say};

/// What we read of `deny.toml`.
#[derive(Deserialize)]
struct Deny {
    licenses: Licences,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

pub(crate) fn run() -> Result<ExitCode> {
    let deny: Deny = toml::from_str(include_str!("../../deny.toml")).context("deny.toml")?;
    let mut command = MetadataCommand::new();
    command.features(CargoOpt::AllFeatures).other_options(["--locked".to_owned()]);
    let packages = command.exec().context("cargo cannot resolve the workspace (is Cargo.lock current?)")?.packages;
    let others: Vec<&Package> = packages.iter().filter(|package| package.source.is_some()).collect();
    ensure!(!others.is_empty(), "cargo lists no dependencies at all");
    let problems: Vec<String> = others.iter().filter_map(|package| problem(package, &deny.licenses.allow)).collect();
    problems.iter().for_each(|problem| complain(problem));
    say(&format!("supply: {} packages by others, {} problems", others.len(), problems.len()));
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong with one package, if anything.
fn problem(package: &Package, allowed: &[String]) -> Option<String> {
    let name = format!("{} {}", package.name, package.version);
    if !package.source.as_ref()?.is_crates_io() {
        return Some(format!("{name}: comes from {}, not from the registry", package.source.as_ref()?));
    }
    let Some(licence) = &package.license else { return Some(format!("{name}: states no licence")) };
    // Old manifests write `MIT/Apache-2.0`.
    let expression = match Expression::parse_mode(licence, ParseMode::LAX) {
        Ok(expression) => expression,
        Err(error) => return Some(format!("{name}: cannot read its licence {licence:?}: {error}")),
    };
    let is_allowed = expression.evaluate(|licence| allowed.contains(&licence.to_string()));
    (!is_allowed).then(|| format!("{name}: deny.toml does not allow its licence {licence:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::fake;

    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn package(source: &str, licence: Option<&str>) -> Package {
        let mut package = fake::package("other", &[]);
        package.source = serde_json::from_value(source.into()).unwrap();
        package.license = licence.map(str::to_owned);
        package
    }

    #[test]
    fn licences_are_judged_by_their_expression_and_sources_by_their_registry() {
        let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"].map(str::to_owned);
        let judged = |source, licence| problem(&package(source, licence), &allowed);
        let good =
            "MIT/Apache-2.0, Unlicense OR MIT, (MIT OR Apache-2.0) AND Unicode-3.0, Apache-2.0 WITH LLVM-exception";
        for licence in good.split(", ") {
            assert_eq!(judged(REGISTRY, Some(licence)), None);
        }
        for licence in ["GPL-3.0", "MIT AND GPL-3.0-only", "Unlicense", "", "MIT OR"] {
            assert!(judged(REGISTRY, Some(licence)).is_some(), "{licence}");
        }
        assert!(judged(REGISTRY, None).is_some());
        assert!(judged("git+https://example.org/a?rev=1#1", Some("MIT")).is_some());
    }
}
