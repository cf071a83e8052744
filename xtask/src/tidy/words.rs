//! One noun, one meaning: words of a private dialect, and words with too many meanings, may become fewer but never
//! more.
//!
//! `xtask/words.toml` allows each word so many uses: as many as there were when it was last lowered. In code, words are
//! parts of identifiers (`drop_receiver` has two, and so has `SendError`), which are also the source of JSON field
//! names. In prose, they are in comments and in Markdown; in strings, they are in messages, output and help. `cargo xtask tidy --ratchet` lowers the numbers to what is
//! there.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use regex_lite::Regex;

use super::tree::Tree;

const FILE: &str = "xtask/words.toml";
/// Files that may name the words because they forbid them.
const ABOUT_WORDS: &[&str] = &[FILE, "xtask/src/tidy/words.rs", "docs/glossary.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// The words of each section, and how often each may be used.
type Allowed = BTreeMap<String, BTreeMap<String, u64>>;

/// All words of the tree.
#[derive(Debug, Default)]
struct Text {
    /// The words of identifiers, in lower case.
    identifiers: Vec<String>,
    /// Comments and Markdown, in lower case, with single spaces between words and around all.
    prose: String,
    /// The contents of string literals, in the same form.
    strings: String,
}

pub(super) fn check(tree: &Tree) -> Result<Vec<String>> {
    let (allowed, text) = (allowed(tree)?, Text::of(tree));
    let mut problems = Vec::new();
    for (section, words) in &allowed {
        for (word, allowed) in words {
            let found = text.count(section, word);
            if found > *allowed {
                problems.push(format!("{section}: `{word}` is there {found} times, {allowed} are allowed ({FILE})"));
            }
        }
    }
    Ok(problems)
}

/// Lowers every allowance to the number of uses.
pub(super) fn ratchet(root: &Path, tree: &Tree) -> Result<usize> {
    let (allowed, text) = (allowed(tree)?, Text::of(tree));
    let (mut lowered, mut section, mut lines) = (0, "", String::new());
    for line in tree[FILE].lines() {
        section = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(section);
        let entry =
            line.split_once(" = ").and_then(|(key, _)| Some((key, allowed.get(section)?.get(key.trim_matches('"'))?)));
        let line = entry.map_or(line.to_owned(), |(key, old)| {
            let found = text.count(section, key.trim_matches('"'));
            lowered += usize::from(found < *old);
            format!("{key} = {}", found.min(*old))
        });
        lines += &(line + "\n");
    }
    fs::write(root.join(FILE), lines)?;
    Ok(lowered)
}

fn allowed(tree: &Tree) -> Result<Allowed> {
    toml::from_str(tree.get(FILE).context("not in the repository")?).context(FILE)
}

impl Text {
    fn of(tree: &Tree) -> Self {
        let mut text = Self { prose: " ".to_owned(), strings: " ".to_owned(), ..Self::default() };
        for (path, source) in tree.iter().filter(|(path, _)| !ABOUT_WORDS.contains(&path.as_str())) {
            match path.rsplit_once('.') {
                Some((_, "rs")) => text.add_rust(source),
                Some((_, "md")) => {
                    // Fenced blocks are code.
                    source.split("\n```").step_by(2).for_each(|prose| add_words(&mut text.prose, prose));
                }
                _ => {}
            }
        }
        text
    }

    fn add_rust(&mut self, source: &str) {
        // `SendError`, `send_error` and `SEND_ERROR` have two words.
        let parts = Regex::new("[A-Z]+[a-z0-9]*|[a-z0-9]+").expect("it is a regular expression");
        for line in source.lines() {
            let (code, comment) = match line.trim_start().strip_prefix("//") {
                Some(comment) => ("", comment.trim_start_matches(['/', '!'])),
                None => line.split_once(" // ").unwrap_or((line, "")),
            };
            add_words(&mut self.prose, comment);
            // Every other piece is a string.
            for (index, piece) in code.split('"').enumerate() {
                if index % 2 == 0 {
                    self.identifiers.extend(parts.find_iter(piece).map(|part| part.as_str().to_ascii_lowercase()));
                } else {
                    add_words(&mut self.strings, piece);
                }
            }
        }
    }

    /// In prose and strings, `a|b` counts both words; in the section of rates, per 10,000 words.
    fn count(&self, section: &str, word: &str) -> u64 {
        if section == "identifiers" {
            return self.identifiers.iter().filter(|part| *part == word).count() as u64;
        }
        let text = if section == "strings" { &self.strings } else { &self.prose };
        let found: usize = word.split('|').map(|word| text.matches(&format!(" {word} ")).count()).sum();
        if section == "prose-per-10000" {
            let words = self.prose.split(' ').count().max(1);
            return (found as f64 * 10_000.0 / words as f64).ceil() as u64;
        }
        found as u64
    }
}

fn add_words(text: &mut String, words: &str) {
    for word in words.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty()) {
        text.extend(word.chars().flat_map(char::to_lowercase));
        text.push(' ');
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tree::planted, *};

    const WORDS: &str = "[identifiers]\ndesk = 1\n[prose]\n\"let go of\" = 0\n[strings]\n\"given back\" = 0\n[prose-per-10000]\n\"whoever|whom\" = 0\n";

    fn complaints(path: &str, text: &str) -> Vec<String> {
        check(&planted([(FILE, WORDS), (path, text)])).unwrap()
    }

    #[test]
    fn what_is_allowed_passes() {
        assert_eq!(complaints("a.rs", "//! A desk is let go on.\nfn a(desk: Desktop) { say(\"desk\"); }\n"), [""; 0]);
        assert_eq!(complaints("a.md", "Desk.\n\n```sh\nlet go of whom\n```\n\nThe end.\n"), [""; 0]);
        assert_eq!(complaints("CONTRIBUTING.md", "Say neither `whom` nor `let go of`.\n"), [""; 0]);
    }

    #[test]
    fn one_more_is_found() {
        for (path, text) in [
            ("a.rs", "struct Desk;\nfn desk() {}\n"),
            ("a.rs", "const TWO_DESK: u8 = OldDesk::DESK;\n"),
            ("a.rs", "//! It is Let go\nlet a = 1; // of, and let go of\n"),
            ("a.rs", "/// From whom.\n"),
            ("a.rs", "#[error(\"it is Given back\")]\nstruct Given;\n"),
            ("a.md", "They let\ngo of it.\n"),
            ("a.md", "Whoever reads this.\n"),
        ] {
            assert_eq!(complaints(path, text).len(), 1, "{text}");
        }
    }

    #[test]
    fn identifiers_come_apart_at_their_words() {
        let mut text = Text::default();
        text.add_rust("SendError(send_error, SEND_ERROR).sendError::<FdsRx2>()");
        assert_eq!(text.identifiers.join(" "), "send error send error send error send error fds rx2");
    }

    #[test]
    fn allowances_are_lowered_and_never_raised() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("xtask")).unwrap();
        let words = "[identifiers]\ndesk = 5\nrope = 0\n";
        let tree = planted([(FILE, words), ("a.rs", "//! A.\nlet (desk, rope) = a;\n")]);
        assert_eq!(ratchet(directory.path(), &tree).unwrap(), 1);
        let lowered = fs::read_to_string(directory.path().join(FILE)).unwrap();
        assert_eq!(lowered, "[identifiers]\ndesk = 1\nrope = 0\n");
    }
}
