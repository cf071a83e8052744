//! Manifests inherit what the workspace decides, and state what is specific to each crate.

use toml::{Table, Value};

use super::{problem::Problem, tree::Tree};
use crate::workspace::Workspace;

/// What every member inherits.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license"];
/// What each crate states for itself, because users search by it.
const OF_ITS_OWN: &[&str] = &["keywords", "categories", "readme"];
/// Users get a crate without the repository around it.
const LICENCES: &[&str] = &["LICENSE-APACHE", "LICENSE-MIT"];
const DEPENDENCIES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn check(workspace: &Workspace, tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in &workspace.packages {
        let dir = workspace.dir(package);
        let path = format!("{dir}/Cargo.toml");
        let Some(text) = tree.get(&path) else {
            problems.push(format!("{path}: not in the repository"));
            continue;
        };
        match text.parse::<Table>() {
            Ok(manifest) => problems.extend(complaints(&path, &manifest)),
            Err(error) => problems.push(format!("{path}: {error}")),
        }
        for licence in LICENCES.iter().filter(|_| dir.starts_with("crates/")) {
            if !workspace.root.join(&dir).join(licence).is_file() {
                problems.push(format!("{dir}: lacks its licence: ln -s ../../{licence} {dir}/{licence}"));
            }
        }
    }
    problems
}

fn complaints(path: &str, manifest: &Table) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut must = |is_so: bool, what: String| {
        if !is_so {
            problems.push(format!("{path}: {what}"));
        }
    };
    let package = manifest.get("package").and_then(Value::as_table).cloned().unwrap_or_default();
    for key in INHERITED {
        must(inherits(package.get(*key)), format!("[package] lacks `{key}.workspace = true`"));
    }
    must(inherits(manifest.get("lints")), "lacks `[lints] workspace = true`".into());
    must(package.contains_key("description"), "[package] lacks a description".into());
    if path.starts_with("crates/") {
        for key in OF_ITS_OWN {
            let is_own = package.get(*key).is_some_and(|value| !inherits(Some(value)));
            must(is_own, format!("[package] lacks {key} of its own"));
        }
        let docs = package.get("metadata").and_then(|metadata| metadata.get("docs")?.get("rs")?.get("all-features"));
        must(docs == Some(&Value::Boolean(true)), "lacks `[package.metadata.docs.rs] all-features = true`".into());
    } else {
        must(package.get("publish") == Some(&Value::Boolean(false)), "[package] lacks `publish = false`".into());
    }
    for (table, name, value) in dependencies(manifest) {
        // A crate may test itself with more of its features; that dependency has no version.
        let is_itself = table == "dev-dependencies" && value.get("path").and_then(Value::as_str) == Some(".");
        must(inherits(Some(value)) || is_itself, format!("[{table}] {name} is not taken from the workspace"));
    }
    problems
}

fn inherits(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("workspace")) == Some(&Value::Boolean(true))
}

/// Every dependency with its table and name, including those of single platforms.
fn dependencies(manifest: &Table) -> Vec<(&str, &str, &Value)> {
    let platforms = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let places = platforms.filter_map(Value::as_table).chain([manifest]);
    let tables =
        places.flat_map(|place| DEPENDENCIES.iter().filter_map(|name| Some((*name, place.get(*name)?.as_table()?))));
    tables.flat_map(|(table, entries)| entries.iter().map(move |(name, value)| (table, name.as_str(), value))).collect()
}

/// The dependencies by other authors, as the root manifest lists them.
pub(super) fn external(root_manifest: &str) -> Vec<String> {
    let manifest: Table = root_manifest.parse().unwrap_or_default();
    let listed = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies")?.as_table());
    let others = listed.into_iter().flatten().filter(|(_, value)| value.get("path").is_none());
    others.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"a\"\ndescription = \"A.\"\nreadme = \"README.md\"\n\
        version.workspace = true\nedition.workspace = true\nrust-version.workspace = true\n\
        license.workspace = true\nkeywords = [\"a\"]\ncategories = [\"b\"]\n\n\
        [package.metadata.docs.rs]\nall-features = true\n\n\
        [dependencies]\nbytes.workspace = true\ntokio = { workspace = true, optional = true }\n\n\
        [lints]\nworkspace = true\n";

    fn complaints(path: &str, text: &str) -> Vec<Problem> {
        super::complaints(path, &text.parse().unwrap())
    }

    #[test]
    fn a_good_manifest_passes() {
        assert_eq!(complaints("crates/a/Cargo.toml", GOOD), [""; 0]);
        let tests_itself = format!("{GOOD}\n[dev-dependencies]\na = {{ path = \".\", features = [\"b\"] }}\n");
        assert_eq!(complaints("crates/a/Cargo.toml", &tests_itself), [""; 0]);
    }

    #[test]
    fn every_line_of_a_good_manifest_matters() {
        let free = ["", "[package]", "[dependencies]", "[package.metadata.docs.rs]", "[lints]", "name = \"a\""];
        let matters = |line: &&str| !free.contains(line) && !line.starts_with("bytes") && !line.starts_with("tokio");
        for line in GOOD.lines().filter(matters) {
            let without = GOOD.replacen(&format!("\n{line}\n"), "\n", 1);
            assert_eq!(complaints("crates/a/Cargo.toml", &without).len(), 1, "without {line}");
        }
        let inherited = GOOD.replace("keywords = [\"a\"]", "keywords.workspace = true");
        assert_eq!(complaints("crates/a/Cargo.toml", &inherited).len(), 1);
        assert_eq!(complaints("xtask/Cargo.toml", GOOD).len(), 1, "it could be published");
    }

    #[test]
    fn a_dependency_with_a_version_of_its_own_is_found() {
        for planted in [
            "[dev-dependencies]\nfoo = { version = \"1\" }\n",
            "[build-dependencies]\nfoo = \"1\"\n",
            "[target.'cfg(unix)'.dependencies]\nfoo = { path = \"../foo\" }\n",
            "[dependencies.foo]\nversion = \"1\"\n",
        ] {
            let text = format!("{GOOD}\n{planted}");
            assert_eq!(complaints("crates/a/Cargo.toml", &text).len(), 1, "{planted}");
        }
    }

    #[test]
    fn other_peoples_crates_are_told_from_ours() {
        let root = "[workspace.dependencies]\na = { path = \"crates/a\", version = \"1\" }\nb = \"1\"\n\
            c = { version = \"2\" }\n[profile.release]\nlto = \"thin\"\n";
        assert_eq!(external(root), ["b", "c"]);
    }
}
