//! Everything is named where readers look for it.

use cargo_metadata::TargetKind;

use super::{manifests, problem::Problem, tree::Tree};
use crate::workspace::{Workspace, targets};

pub(super) fn check(workspace: &Workspace, tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    let crates: Vec<&str> = workspace.crates().map(|package| package.name.as_str()).collect();
    match tree.get("README.md") {
        Some(readme) => problems.extend(absent_rows(readme, &crates)),
        None => problems.push("README.md: not in the repository".into()),
    }
    for package in workspace.crates() {
        let path = format!("{}/README.md", workspace.dir(package));
        if tree.get(&path).is_none_or(|text| text.trim().is_empty()) {
            problems.push(format!("{path}: a crate tells what it is for"));
        }
    }
    let index = tree.get("docs/examples.md").unwrap_or_default();
    for package in workspace.crates() {
        let named = |name: &&str| !index.contains(&format!("[`{name}`](../{}/", workspace.dir(package)));
        let missing = targets(package, TargetKind::Example).filter(named);
        problems.extend(missing.map(|name| format!("docs/examples.md: does not list `{name}` of {}", package.name)));
    }
    let external = tree.get("Cargo.toml").map(manifests::external).unwrap_or_default();
    match tree.get("docs/dependencies.md") {
        Some(text) => problems.extend(untold(text, &external)),
        None => problems.push("docs/dependencies.md: not in the repository".into()),
    }
    problems
}

/// Crates without a row in a table of the README.
fn absent_rows(readme: &str, crates: &[&str]) -> Vec<Problem> {
    let first_cells: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.trim().strip_prefix('|'))
        .filter_map(|row| row.split('|').next())
        .collect();
    crates
        .iter()
        .filter(|name| !first_cells.iter().any(|cell| cell.contains(&format!("`{name}`"))))
        .map(|name| format!("README.md: no row of the table is about `{name}`"))
        .collect()
}

/// Dependencies that the page does not name.
fn untold(page: &str, external: &[String]) -> Vec<Problem> {
    external
        .iter()
        .filter(|name| !page.contains(&format!("`{name}`")))
        .map(|name| format!("docs/dependencies.md: does not say why `{name}` is here"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::fake;

    fn complaints(files: [(&str, &str); 5]) -> Vec<Problem> {
        let workspace = fake::workspace(vec![fake::package("a", &[("b", "example")])]);
        check(&workspace, &Tree::from(files))
    }

    const GOOD: [(&str, &str); 5] = [
        ("README.md", "| crate | |\n|---|---|\n| [`a`](crates/a) | does a |\n"),
        ("crates/a/README.md", "# a\n"),
        ("Cargo.toml", "[workspace.dependencies]\nbytes = \"1\"\n"),
        ("docs/dependencies.md", "`bytes`: buffers.\n"),
        ("docs/examples.md", "| [`b`](../crates/a/examples/b.rs) | a |\n"),
    ];

    #[test]
    fn what_is_named_passes() {
        assert_eq!(complaints(GOOD), [""; 0]);
    }

    #[test]
    fn whatever_is_not_named_is_found() {
        for (index, planted) in [
            (0, "only prose about `a`\n"),
            (0, "| [`ab`](crates/ab) | does `a` |\n"),
            (1, "\n"),
            (2, "[workspace.dependencies]\nbytes = \"1\"\nmio = \"1\"\n"),
            (3, "bytes without ticks\n"),
            (4, "| [`b`](../crates/ab/examples/b.rs) | another's |\n"),
        ] {
            let mut files = GOOD;
            files[index].1 = planted;
            assert_eq!(complaints(files).len(), 1, "{planted}");
        }
        for index in [0, 1, 3, 4] {
            let mut files = GOOD;
            files[index].0 = "elsewhere.md";
            assert_eq!(complaints(files).len(), 1, "without {}", GOOD[index].0);
        }
    }
}
