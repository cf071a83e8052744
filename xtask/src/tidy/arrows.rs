//! Which of our crates may depend on which (`xtask/arrows.toml`), and what may be below the pure ones.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::{Dependency, DependencyKind, Package};
use serde::Deserialize;

use crate::plan::said;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Picture {
    crates: BTreeMap<String, BTreeSet<String>>,
    others: Others,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Others {
    for_tests: Vec<String>,
    outside: Vec<String>,
    pure: Vec<String>,
    never_below_pure: Vec<String>,
}

fn picture() -> Result<Picture> {
    toml::from_str(include_str!("../../arrows.toml")).context("xtask/arrows.toml")
}

pub(super) fn check(packages: &[Package]) -> Result<Vec<String>> {
    let picture = picture()?;
    let outside = |package: &&Package| !picture.others.outside.contains(&package.name);
    Ok(packages.iter().filter(outside).flat_map(|package| picture.problems(package, packages)).collect())
}

impl Picture {
    fn problems(&self, package: &Package, packages: &[Package]) -> Vec<String> {
        let Some(drawn) = self.crates.get(package.name.as_str()) else {
            return vec![format!("{}: a new crate is a design change: not in xtask/arrows.toml", package.name)];
        };
        let is_ours = |dependency: &&Dependency| packages.iter().any(|package| package.name == dependency.name);
        let ours = package.dependencies.iter().filter(is_ours);
        let (for_tests, always): (Vec<_>, Vec<_>) = ours.partition(|one| one.kind == DependencyKind::Development);
        let mark = |optional| if optional { "?" } else { "" };
        let always = always.iter().map(|one| format!("{}{}", one.name, mark(one.optional))).collect::<BTreeSet<_>>();
        let may_test = |name: &String| {
            *name == *package.name
                || self.others.for_tests.contains(name)
                || drawn.iter().any(|drawn| drawn.trim_end_matches('?') == name)
        };
        let tests = for_tests.iter().map(|one| &one.name).filter(|name| !may_test(name));
        let undrawn =
            always.difference(drawn).chain(tests).map(|to| format!("{}: no arrow leads to {to}", package.name));
        let gone = drawn.difference(&always).map(|to| format!("{}: the arrow to {to} is no dependency", package.name));
        undrawn.chain(gone).collect()
    }
}

/// Asks cargo what is below each pure crate.
pub(super) fn pure_builds() -> Result<Vec<String>> {
    let others = picture()?.others;
    let mut problems = Vec::new();
    for name in &others.pure {
        let tree = "tree --locked --edges normal,build --no-default-features --prefix none --package";
        let tree = said("cargo", tree.split(' ').chain([name.as_str()]))?;
        problems.extend(
            below(&tree, &others.never_below_pure).map(|found| format!("{name}: pure, but {found} is below it")),
        );
    }
    Ok(problems)
}

/// Those of `names` that are in the output of `cargo tree --prefix none`.
fn below<'a>(tree: &'a str, names: &[String]) -> impl Iterator<Item = &'a str> {
    let listed = tree.lines().filter_map(|line| line.split_whitespace().next());
    listed.filter(|name| names.iter().any(|other| other == name))
}

#[cfg(test)]
mod tests {
    use DependencyKind::{Build, Development as Dev, Normal};

    use super::*;
    use crate::workspace::fake;

    fn package(name: &str, dependencies: &[(&str, DependencyKind, bool)]) -> Package {
        let mut package = fake::package(name, &[]);
        let dependency = |(name, kind, optional): &(&str, DependencyKind, bool)| {
            serde_json::from_value(serde_json::json!({
                "name": name, "req": "*", "kind": kind, "optional": optional, "uses_default_features": true, "features": [],
            }))
        };
        package.dependencies = dependencies.iter().map(dependency).collect::<Result<_, _>>().unwrap();
        package
    }

    #[test]
    fn arrows_that_are_not_drawn_or_not_there_are_found() {
        let picture = "[crates]\na = []\nb = ['a']\nc = ['a', 'b?']\n[others]\nfor-tests = ['kit']\noutside = []\n\
            pure = []\nnever-below-pure = []\n";
        let picture: Picture = toml::from_str(picture).unwrap();
        let members = ["a", "b", "c", "kit"].map(|name| package(name, &[]));
        for (name, dependencies, problems) in [
            ("a", &[][..], 0),
            ("a", &[("a", Dev, false), ("kit", Dev, false), ("tokio", Normal, false)], 0),
            ("b", &[("a", Normal, false), ("a", Dev, false)], 0),
            ("c", &[("a", Normal, false), ("b", Normal, true), ("b", Dev, false)], 0),
            ("c", &[("a", Normal, false), ("b", Normal, false)], 2),
            ("c", &[("a", Normal, false)], 1),
            ("a", &[("b", Normal, false)], 1),
            ("a", &[("b", Dev, false)], 1),
            ("a", &[("kit", Normal, false)], 1),
            ("a", &[("kit", Build, false)], 1),
            ("not-drawn", &[("tokio", Normal, false)], 1),
        ] {
            let found = picture.problems(&package(name, dependencies), &members);
            assert_eq!(found.len(), problems, "{name} -> {dependencies:?}: {found:?}");
        }
    }

    #[test]
    fn a_runtime_below_a_pure_crate_is_found() {
        // If the format changes, the check must not become blind: this package depends on anyhow.
        let tree = said("cargo", "tree --package xtask --edges normal --prefix none".split(' ')).unwrap();
        assert_eq!(below(&tree, &["any", "anyhow"].map(str::to_owned)).collect::<Vec<_>>(), ["anyhow"]);
    }
}
