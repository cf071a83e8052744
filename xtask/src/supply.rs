//! `cargo xtask supply`: our dependencies obey the licences and registries of `deny.toml`.
//!
//! cargo-deny does this and more, but takes four minutes on two idle cores to compile. This command reads the same
//! file. For every package of `Cargo.lock` that one of our features needs, it checks the licence expression and the
//! source from `cargo metadata`. Whether a licence text matches the expression is checked by `cargo xtask ci --full`,
//! which runs cargo-deny if it is installed.

use std::{fs, process::ExitCode};

use anyhow::{Context, Result, bail};
use cargo_metadata::{CargoOpt, MetadataCommand, Package};
use spdx::{Expression, ParseMode};

use crate::{
    console::{complain, say},
    workspace::Workspace,
};

pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let path = workspace.root.join("deny.toml");
    let rules: toml::Table = fs::read_to_string(&path)?.parse().with_context(|| format!("{}", path.display()))?;
    let allowed = allowed(&rules).context("deny.toml has no list licenses.allow")?;
    let packages = MetadataCommand::new()
        .features(CargoOpt::AllFeatures)
        .other_options(["--locked".to_owned()])
        .exec()
        .context("cargo cannot resolve the workspace (is Cargo.lock current?)")?
        .packages;
    let others: Vec<&Package> = packages.iter().filter(|package| package.source.is_some()).collect();
    if others.is_empty() {
        bail!("cargo lists no dependencies at all");
    }
    let problems: Vec<String> = others.iter().filter_map(|package| problem(package, &allowed)).collect();
    for problem in &problems {
        complain(problem);
    }
    say(&format!("supply: {} packages by others, {} problems", others.len(), problems.len()));
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The licences that `deny.toml` allows.
fn allowed(rules: &toml::Table) -> Option<Vec<&str>> {
    rules.get("licenses")?.get("allow")?.as_array()?.iter().map(toml::Value::as_str).collect()
}

/// What is wrong with one package, if anything.
fn problem(package: &Package, allowed: &[&str]) -> Option<String> {
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
    let is_allowed = expression.evaluate(|licence| allowed.contains(&licence.to_string().as_str()));
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
    fn licences_are_judged_by_their_expression() {
        let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"];
        let judged = |licence| problem(&package(REGISTRY, Some(licence)), &allowed);
        for good in [
            "MIT/Apache-2.0",
            "Unlicense OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert_eq!(judged(good), None);
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0-only", "Unlicense", "", "MIT OR"] {
            assert!(judged(bad).is_some(), "{bad}");
        }
        assert!(problem(&package(REGISTRY, None), &allowed).is_some());
    }

    #[test]
    fn a_package_from_elsewhere_is_found() {
        assert!(problem(&package("git+https://example.org/a?rev=1#1", Some("MIT")), &["MIT"]).is_some());
    }

    #[test]
    fn our_own_rules_have_a_list_of_licences() {
        let rules: toml::Table = include_str!("../../deny.toml").parse().unwrap();
        assert!(allowed(&rules).unwrap().contains(&"MIT"));
    }
}
