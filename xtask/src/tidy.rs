//! `cargo xtask tidy`: the rules of the repository that no compiler checks.
//!
//! Each rule is a function from the contents of the tree to a list of problems, so a planted violation can prove that
//! the rule works. The same rules run as a test of this package.

mod arrows;
mod circles;
mod code;
mod manifests;
mod names;
mod problem;
mod purity;
mod text;
mod tree;
mod unsafety;
mod words;

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    console::{complain, say},
    workspace::Workspace,
};
use problem::Problem;
use tree::Tree;

pub(crate) fn run(workspace: &Workspace, ratchet: bool) -> Result<ExitCode> {
    let tree = Tree::read(&workspace.root)?;
    if ratchet {
        say(&format!("tidy: {} allowances lowered", words::ratchet(&workspace.root, &tree)?));
    }
    for note in text::long_files(&tree) {
        say(&format!("note: {note}"));
    }
    let problems = problems(workspace, &tree)?;
    if problems.is_empty() {
        say(&format!("tidy: {} files, {} packages: all well", tree.len(), workspace.packages.len()));
        return Ok(ExitCode::SUCCESS);
    }
    for problem in &problems {
        complain(problem);
    }
    complain(&format!("tidy: {} problems", problems.len()));
    Ok(ExitCode::FAILURE)
}

fn problems(workspace: &Workspace, tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = text::check(tree);
    problems.extend(names::check(workspace, tree));
    problems.extend(manifests::check(workspace, tree));
    problems.extend(arrows::check(&workspace.packages));
    problems.extend(words::check(tree)?);
    problems.extend(circles::check(tree)?);
    problems.extend(purity::check_code(tree)?);
    problems.extend(unsafety::check(tree)?);
    problems.extend(purity::check_builds(workspace)?);
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_keeps_its_rules() {
        let workspace = Workspace::open().unwrap();
        let tree = Tree::read(&workspace.root).unwrap();
        let problems = problems(&workspace, &tree).unwrap();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}
