//! Manifests take from the workspace what the workspace decides.

use super::{Problem, toml, tree::Tree};
use crate::workspace::Workspace;

/// What every member inherits.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license"];
/// What a crate inherits on top.
const INHERITED_BY_CRATES: &[&str] = &["keywords", "categories"];

pub(super) fn check(workspace: &Workspace, tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in &workspace.packages {
        let path = format!("{}/Cargo.toml", package.dir);
        match tree.get(&path) {
            Some(text) => manifest(&path, text, &mut problems),
            None => problems.push(format!("{path}: not in the repository")),
        }
    }
    problems
}

fn manifest(path: &str, text: &str, problems: &mut Vec<Problem>) {
    let is_crate = path.starts_with("crates/");
    let inherited = INHERITED.iter().chain(INHERITED_BY_CRATES.iter().filter(|_| is_crate));
    for key in inherited {
        if toml::value(text, "package", &format!("{key}.workspace")) != Some("true") {
            problems.push(format!("{path}: [package] lacks `{key}.workspace = true`"));
        }
    }
    if toml::value(text, "lints", "workspace") != Some("true") {
        problems.push(format!("{path}: lacks `[lints] workspace = true`"));
    }
    if toml::value(text, "package", "description").is_none() {
        problems.push(format!("{path}: [package] lacks a description"));
    }
    if is_crate && toml::value(text, "package", "readme") != Some("\"README.md\"") {
        problems.push(format!("{path}: [package] lacks `readme = \"README.md\"`"));
    }
    if !is_crate && toml::value(text, "package", "publish") != Some("false") {
        problems.push(format!("{path}: [package] lacks `publish = false`"));
    }
    for entry in toml::entries(text).iter().filter(|entry| is_dependency_table(entry.section)) {
        // A crate may test itself with more of its features on; that has no version.
        let is_itself = entry.section == "dev-dependencies" && entry.value.contains("path = \".\"");
        let inherits = entry.key.ends_with(".workspace") || entry.value.contains("workspace = true") || is_itself;
        if !inherits {
            problems.push(format!("{path}:{}: {} is not taken from the workspace", entry.line, entry.key));
        }
    }
    for entry in toml::entries(text).iter().filter(|entry| is_single_dependency(entry.section)) {
        problems.push(format!("{path}:{}: write [{}] as one line of its table", entry.line, entry.section));
    }
}

fn is_dependency_table(section: &str) -> bool {
    matches!(section.rsplit('.').next(), Some("dependencies" | "dev-dependencies" | "build-dependencies"))
}

/// `[dependencies.name]`, whose keys would have to be read together.
fn is_single_dependency(section: &str) -> bool {
    section.rsplit_once('.').is_some_and(|(table, _)| is_dependency_table(table))
}

/// The dependencies that other people wrote, as the root manifest lists them.
pub(super) fn external(root_manifest: &str) -> Vec<&str> {
    toml::entries(root_manifest)
        .iter()
        .filter(|entry| entry.section == "workspace.dependencies" && !entry.value.contains("path ="))
        .map(|entry| entry.key)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"a\"\ndescription = \"A.\"\nreadme = \"README.md\"\n\
        version.workspace = true\nedition.workspace = true\nrust-version.workspace = true\n\
        license.workspace = true\nkeywords.workspace = true\ncategories.workspace = true\n\n\
        [dependencies]\nbytes.workspace = true\ntokio = { workspace = true, optional = true }\n\n\
        [lints]\nworkspace = true\n";

    fn complaints(path: &str, text: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        manifest(path, text, &mut problems);
        problems
    }

    #[test]
    fn a_good_manifest_passes() {
        assert_eq!(complaints("crates/a/Cargo.toml", GOOD), [""; 0]);
        let tests_itself = format!("{GOOD}\n[dev-dependencies]\na = {{ path = \".\", features = [\"b\"] }}\n");
        assert_eq!(complaints("crates/a/Cargo.toml", &tests_itself), [""; 0]);
    }

    #[test]
    fn every_line_of_a_good_manifest_matters() {
        let matters = |line: &str| line.ends_with("workspace = true") && !line.starts_with("bytes");
        for (number, line) in GOOD.lines().enumerate().filter(|(_, line)| matters(line) || line.contains("readme")) {
            let without: String = GOOD
                .lines()
                .enumerate()
                .filter(|&(other, _)| other != number)
                .map(|(_, line)| format!("{line}\n"))
                .collect();
            assert_eq!(complaints("crates/a/Cargo.toml", &without).len(), 1, "without {line}");
        }
        let undescribed = GOOD.replace("description", "note");
        assert_eq!(complaints("crates/a/Cargo.toml", &undescribed).len(), 1);
        assert_eq!(complaints("xtask/Cargo.toml", GOOD).len(), 1, "it could be published");
    }

    #[test]
    fn a_dependency_with_a_version_of_its_own_is_found() {
        for planted in [
            "[dependencies]\nfoo = \"1\"\n",
            "[dev-dependencies]\nfoo = { version = \"1\" }\n",
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
