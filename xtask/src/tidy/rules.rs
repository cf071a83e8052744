//! Rules for the text of files, from `xtask/rules.toml`.

use anyhow::{Context, Result};
use cargo_metadata::TargetKind;
use regex_lite::{Regex, escape};
use serde::Deserialize;

use super::{code, tree::Tree};
use crate::workspace::{Workspace, targets};

const FILE: &str = "xtask/rules.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    rule: Vec<Rule>,
    named: Vec<Named>,
}

/// What the text of some files must be like.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Rule {
    why: String,
    files: String,
    except: Option<String>,
    without: Option<Vec<String>>,
    #[serde(default)]
    must: Vec<String>,
    never: Option<String>,
    max_lines: Option<usize>,
    #[serde(default)]
    note: bool,
    /// What the unit test plants: path and text.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the unit test"))]
    good: Vec<(String, String)>,
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "for the unit test"))]
    bad: Vec<(String, String)>,
}

/// What a page must name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    each: Each,
    file: String,
    with: String,
    why: String,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Each {
    Crate,
    Example,
    Dependency,
}

/// The notes and the problems of all rules.
pub(super) fn check(workspace: &Workspace, tree: &Tree) -> Result<(Vec<String>, Vec<String>)> {
    let rules: Rules = toml::from_str(tree.get(FILE).context(FILE)?).context(FILE)?;
    let (mut notes, mut problems) = (Vec::new(), Vec::new());
    for rule in &rules.rule {
        let found = rule.problems(tree).with_context(|| format!("{FILE}: {}", rule.why))?;
        if rule.note { &mut notes } else { &mut problems }.extend(found);
    }
    for named in &rules.named {
        problems.extend(named.problems(workspace, tree)?);
    }
    Ok((notes, problems))
}

impl Rule {
    fn problems(&self, tree: &Tree) -> Result<Vec<String>> {
        let (files, except) = (Regex::new(&self.files)?, self.except.as_deref().map(Regex::new).transpose()?);
        let must = self.must.iter().map(|must| Regex::new(must)).collect::<Result<Vec<_>, _>>()?;
        let never = self.never.as_deref().map(Regex::new).transpose()?;
        let mut problems = Vec::new();
        let is_subject = |path: &str| files.is_match(path) && !except.as_ref().is_some_and(|not| not.is_match(path));
        for (path, text) in tree.iter().filter(|(path, _)| is_subject(path)) {
            let text = match &self.without {
                None => text,
                Some(gates) => &code::text(text, gates).with_context(|| path.clone())?,
            };
            for must in must.iter().filter(|must| !must.is_match(text)) {
                problems.push(format!("{path}: {}: does not match `{must}`", self.why));
            }
            for found in never.iter().flat_map(|never| never.find_iter(text)) {
                let line = text[..found.start()].matches('\n').count() + 1;
                problems.push(format!("{path}:{line}: {}: {:?}", self.why, found.as_str()));
            }
            if let Some(lines) =
                Some(text.lines().count()).filter(|lines| self.max_lines.is_some_and(|most| *lines > most))
            {
                problems.push(format!("{path}: {lines} lines: {}", self.why));
            }
        }
        Ok(problems)
    }
}

impl Named {
    fn problems(&self, workspace: &Workspace, tree: &Tree) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        for (name, dir) in self.each.items(workspace, tree)? {
            let file = self.file.replace("{name}", &name).replace("{dir}", &dir);
            let with = Regex::new(&self.with.replace("{name}", &escape(&name)).replace("{dir}", &escape(&dir)))?;
            if !tree.get(&file).is_some_and(|text| with.is_match(text)) {
                problems.push(format!("{file}: {} (`{name}`)", self.why));
            }
        }
        Ok(problems)
    }
}

impl Each {
    /// Names, and the directories of their packages.
    fn items(self, workspace: &Workspace, tree: &Tree) -> Result<Vec<(String, String)>> {
        let crates = workspace.crates().map(|package| (package, workspace.dir(package)));
        Ok(match self {
            Self::Crate => crates.map(|(package, dir)| (package.name.to_string(), dir)).collect(),
            Self::Example => crates
                .flat_map(|(package, dir)| {
                    targets(package, TargetKind::Example).map(move |name| (name.to_owned(), dir.clone()))
                })
                .collect(),
            Self::Dependency => {
                let manifest: toml::Table = toml::from_str(tree.get("Cargo.toml").context("Cargo.toml")?)?;
                let listed = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies")?.as_table());
                let others = listed.into_iter().flatten().filter(|(_, value)| value.get("path").is_none());
                others.map(|(name, _)| (name.clone(), String::new())).collect()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tree::planted, *};
    use crate::workspace::fake;

    fn rules() -> Rules {
        toml::from_str(include_str!("../../rules.toml")).unwrap()
    }

    #[test]
    fn every_rule_finds_what_breaks_it() {
        for rule in rules().rule {
            let found = |path: &str, text: &str| rule.problems(&planted([(path, text)])).unwrap().len();
            for (path, text) in &rule.good {
                assert_eq!(found(path, text), 0, "{}: {path}: {text:?}", rule.why);
            }
            for (path, text) in &rule.bad {
                assert!(found(path, text) > 0, "{}: {path}: {text:?}", rule.why);
            }
            for must in &rule.must {
                let (path, text) = &rule.good[0];
                let without = Regex::new(must).unwrap().replace(text, "");
                assert_eq!(found(path, &without), 1, "{}: without {must}", rule.why);
            }
            if let Some(most) = rule.max_lines {
                assert_eq!([0, 1].map(|more| found("a.rs", &"//! A.\n".repeat(most + more))), [0, 1]);
            }
            assert!(!rule.good.is_empty() && (rule.never.is_none() || !rule.bad.is_empty()), "{}", rule.why);
        }
    }

    #[test]
    fn whatever_is_not_named_is_found() {
        const GOOD: [(&str, &str); 7] = [
            ("README.md", "| crate | |\n|---|---|\n| [`a`](crates/a) | does a |\n"),
            ("crates/a/README.md", "# a\n"),
            ("docs/dependencies.md", "`bytes`: buffers.\n"),
            ("docs/examples.md", "| [`b`](../crates/a/examples/b.rs) | a |\n"),
            ("crates/a/LICENSE-MIT", ""),
            ("crates/a/LICENSE-APACHE", ""),
            ("Cargo.toml", "[workspace.dependencies]\nbytes = \"1\"\na = { path = \"crates/a\" }\n"),
        ];
        let workspace = fake::workspace(vec![fake::package("a", &[("b", "example")])]);
        let named = rules().named;
        let found = |files: &[(&str, &str)]| {
            let tree = planted(files.iter().copied());
            named.iter().flat_map(|named| named.problems(&workspace, &tree).unwrap()).count()
        };
        assert_eq!(found(&GOOD), 0);
        for (index, planted) in [
            (0, "only prose about `a`\n"),
            (0, "| [`ab`](crates/ab) | does `a` |\n"),
            (1, "\n"),
            (2, "bytes without ticks\n"),
            (3, "| [`b`](../crates/ab/examples/b.rs) | another's |\n"),
            (6, "[workspace.dependencies]\nbytes = \"1\"\nmio = \"1\"\n"),
        ] {
            let mut files = GOOD;
            files[index].1 = planted;
            assert_eq!(found(&files), 1, "{planted}");
        }
        for index in 0..6 {
            let mut files = GOOD;
            files[index].0 = "elsewhere.md";
            assert_eq!(found(&files), 1, "without {}", GOOD[index].0);
        }
    }
}
