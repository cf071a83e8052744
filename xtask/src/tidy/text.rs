//! Rules for the text of files: how it begins and ends, and what must not be in it.

use super::{problem::Problem, tree::Tree};

/// Longer files deserve a second thought. They are named, not rejected.
const LONG: usize = 500;

/// Signs of unfinished work; clippy finds the macros. Written in two halves, so that this file is not found.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.iter() {
        opening(path, text, &mut problems);
        ending(path, text, &mut problems);
        spaces(path, text, &mut problems);
        unfinished(path, text, &mut problems);
    }
    problems
}

/// Files of Rust that are longer than they should be.
pub(super) fn long_files(tree: &Tree) -> Vec<Problem> {
    tree.iter()
        .filter(|(path, _)| path.ends_with(".rs"))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|&(_, lines)| lines > LONG)
        .map(|(path, lines)| format!("{path}: {lines} lines; is it about one noun?"))
        .collect()
}

fn opening(path: &str, text: &str, problems: &mut Vec<Problem>) {
    if path.ends_with(".rs") && !text.starts_with("//!") {
        problems.push(format!("{path}:1: does not open with `//!`: say what the file is for"));
    }
}

fn ending(path: &str, text: &str, problems: &mut Vec<Problem>) {
    // A fuzzer's input may have any bytes.
    if !path.ends_with(".bin") && !text.is_empty() && !text.ends_with('\n') {
        problems.push(format!("{path}: does not end with a newline"));
    }
    if has_extension(path, &["rs", "toml", "md"]) && text.ends_with("\n\n") {
        problems.push(format!("{path}: ends with empty lines"));
    }
}

fn spaces(path: &str, text: &str, problems: &mut Vec<Problem>) {
    if !has_extension(path, &["rs", "toml", "md"]) {
        return;
    }
    for (number, line) in text.split('\n').enumerate() {
        if let Some(c) = line.trim_end_matches('\r').chars().find(|c| c.is_control()) {
            problems.push(format!("{path}:{}: a tab or control character: write {c:?}", number + 1));
        }
        if line.ends_with([' ', '\r']) {
            problems.push(format!("{path}:{}: space at the end of the line", number + 1));
        }
    }
}

fn unfinished(path: &str, text: &str, problems: &mut Vec<Problem>) {
    if !["crates/", "xtask/", "tests/"].iter().any(|dir| path.starts_with(dir)) {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        if let Some(mark) = words.find(|word| UNFINISHED.contains(word)) {
            problems.push(format!("{path}:{}: `{mark}`: finish it or leave it out", number + 1));
        }
    }
}

fn has_extension(path: &str, extensions: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<Problem> {
        check(&Tree::from([(path, text)]))
    }

    #[test]
    fn clean_files_pass() {
        assert_eq!(complaints("crates/a/src/lib.rs", "//! A thing.\n\nfn a() {}\n"), [""; 0]);
        assert_eq!(complaints("Cargo.toml", "[workspace]\n"), [""; 0]);
        assert_eq!(complaints("crates/a/Makefile", "all:\n\techo\n"), [""; 0]);
    }

    #[test]
    fn a_file_without_its_opening_words_is_found() {
        assert_eq!(complaints("a.rs", "fn a() {}\n").len(), 1);
        assert_eq!(complaints("a.rs", "\n//! Late.\n").len(), 1);
        assert_eq!(complaints("a.rs", "").len(), 1);
    }

    #[test]
    fn bad_ends_and_stray_space_are_found() {
        for text in ["//! A.", "//! A.\n\n", "//! A. \n", "//! A.\r\n", "//! A.\n\tfn\n", "//! A.\n\0\n"] {
            assert_eq!(complaints("a.rs", text).len(), 1, "{text:?}");
        }
        assert_eq!(complaints("LICENSE", "no newline").len(), 1);
    }

    #[test]
    fn unfinished_work_is_found() {
        for mark in UNFINISHED {
            let text = format!("//! A.\n// {mark}: later\n");
            assert_eq!(complaints("crates/a/src/lib.rs", &text).len(), 1, "{mark}");
            assert_eq!(complaints("docs/a.md", &text), [""; 0]);
        }
        let inside_a_longer_word = format!("//! A.\n// mktemp a.{0}{0}\n", UNFINISHED[2]);
        assert_eq!(complaints("tests/a.rs", &inside_a_longer_word), [""; 0]);
    }

    #[test]
    fn long_files_are_named() {
        let long = "//! A.\n".repeat(LONG + 1);
        let tree = Tree::from([("a.rs", long.as_str()), ("b.rs", "//! B.\n"), ("c.md", &long)]);
        let notes = long_files(&tree);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("a.rs: 501 lines"));
    }
}
