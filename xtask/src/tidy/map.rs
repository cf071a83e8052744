//! The files that `docs/architecture.md` names exist, each in a crate that its section is about.

use super::tree::Tree;

const PAGE: &str = "docs/architecture.md";

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let Some(page) = tree.get(PAGE) else { return vec![format!("{PAGE}: not in the repository")] };
    let mut problems = Vec::new();
    // The directories that the current section is about, if it is a section of the code map.
    let mut directories: Vec<&str> = Vec::new();
    for (line, text) in (1..).zip(page.lines()) {
        let quoted = text.split('`').skip(1).step_by(2);
        if text.starts_with("##") {
            directories = if text.starts_with("### `") { quoted.collect() } else { Vec::new() };
            continue;
        }
        for name in quoted.filter(|name| is_file(name)) {
            // A name with the directory of sources or tests in it may be of any crate.
            let is_anywhere = directories.is_empty() || name.contains("src/") || name.contains("tests/");
            let is_here =
                |path: &str| is_anywhere || directories.iter().any(|dir| path.starts_with(&format!("{dir}/")));
            let is_named = |path: &str| path.strip_suffix(name).is_some_and(|dir| dir.is_empty() || dir.ends_with('/'));
            if !tree.keys().any(|path| is_here(path) && is_named(path)) {
                problems.push(format!("{PAGE}:{line}: there is no `{name}` in what the section is about"));
            }
        }
    }
    problems
}

fn is_file(name: &str) -> bool {
    name.strip_suffix(".rs").is_some_and(|stem| !stem.is_empty() && !stem.contains([' ', '*', '<', '…']))
}

#[cfg(test)]
mod tests {
    use super::{super::tree::planted, *};

    fn complaints(page: &str) -> Vec<String> {
        let files = ["crates/a/src/hub.rs", "crates/a/src/accept/queue.rs", "crates/b/src/other.rs"];
        check(&planted(files.map(|path| (path, "")).into_iter().chain([(PAGE, page)])))
    }

    #[test]
    fn files_that_exist_pass() {
        let page = "### `crates/a`\n\n`hub.rs` and `accept/queue.rs`; `b/src/other.rs` is of another crate.\n\
                    ### `crates/b`, `crates/c`\n`other.rs`\n## Laws\n`hub.rs`, `other.rs` and `no file`\n";
        assert_eq!(complaints(page), [""; 0]);
    }

    #[test]
    fn a_file_that_has_moved_is_found() {
        for planted in [
            "### `crates/a`\n`listener/queue.rs`\n",
            "### `crates/a`\n`ub.rs`\n",
            "### `crates/b`\n`hub.rs`\n",
            "### `crates/b`\n`b/src/hub.rs`\n",
            "## Laws\n`account.rs`\n",
        ] {
            assert_eq!(complaints(planted).len(), 1, "{planted}");
        }
        assert_eq!(check(&Tree::new()).len(), 1, "without the page");
    }
}
