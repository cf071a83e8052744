//! `cargo xtask tidy`: the rules of the repository that no compiler checks.
//!
//! Each rule is a function from the contents of the tree to a list of problems, such as `crates/a/src/lib.rs:7: a tab`, so a
//! planted violation can prove that the rule works. The same rules run as a test of this package.

mod arrows;
mod circles;
mod code;
mod map;
mod rules;
mod tree;
mod words;

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    console::{complain, say},
    workspace::Workspace,
};
use tree::Tree;

pub(crate) fn run(workspace: &Workspace, ratchet: bool) -> Result<ExitCode> {
    let tree = tree::read(&workspace.root)?;
    if ratchet {
        say(&format!("tidy: {} allowances lowered", words::ratchet(&workspace.root, &tree)?));
    }
    let (notes, problems) = findings(workspace, &tree)?;
    notes.iter().for_each(|note| say(&format!("note: {note}")));
    if problems.is_empty() {
        say(&format!("tidy: {} files, {} packages: all well", tree.len(), workspace.packages.len()));
        return Ok(ExitCode::SUCCESS);
    }
    complain(&format!("{}\ntidy: {} problems", problems.join("\n"), problems.len()));
    Ok(ExitCode::FAILURE)
}

/// What deserves a second thought, and what has to change.
fn findings(workspace: &Workspace, tree: &Tree) -> Result<(Vec<String>, Vec<String>)> {
    let (notes, mut problems) = rules::check(workspace, tree)?;
    problems.extend(map::check(tree));
    problems.extend(arrows::check(&workspace.packages)?);
    problems.extend(arrows::pure_builds()?);
    problems.extend(words::check(tree)?);
    problems.extend(circles::check(tree)?);
    Ok((notes, problems))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_keeps_its_rules() {
        let workspace = Workspace::open().unwrap();
        let (_, problems) = findings(&workspace, &tree::read(&workspace.root).unwrap()).unwrap();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}
