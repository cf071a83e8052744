//! No file of a crate uses what, by any way, uses it: files can be read in an order in which each knows those before it.
//!
//! A file uses another if its code names an item that is defined there. Declaring a module and re-exporting from it is no
//! use, nor is what tests do.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use regex_lite::{Captures, Regex};

use super::{code, tree::Tree};

/// `listener::queue`, as the segments below the crate. The crate's root has none.
type Module = Vec<String>;

/// What the files of one crate define for each other, and use.
#[derive(Default)]
struct Crate {
    /// Each module with a file of its own, and its path.
    files: BTreeMap<Module, String>,
    /// Each name that a module re-exports, and what it stands for.
    exports: BTreeMap<(Module, String), Module>,
    /// Every module, and a path in its code, from the root of the crate.
    uses: BTreeSet<(Module, Module)>,
}

pub(super) fn check(tree: &Tree) -> Result<Vec<String>> {
    let root = Regex::new(r"^(crates/[^/]+/src/(lib|main)|xtask/src/main)\.rs$")?;
    let mut problems = Vec::new();
    for root in tree.keys().filter(|path| root.is_match(path)) {
        let read = Crate::read(tree, root)?;
        let circle = read.circle();
        problems.extend((!circle.is_empty()).then(|| format!("{root}: files use each other: {}", circle.join(", "))));
    }
    Ok(problems)
}

impl Crate {
    fn read(tree: &Tree, root: &str) -> Result<Self> {
        let (home, _) = root.rsplit_once('/').context("it is in a directory")?;
        let mut read = Self::default();
        for (path, source) in tree {
            let Some(name) = path.strip_prefix(home).and_then(|name| name[1..].strip_suffix(".rs")) else { continue };
            let module = if path == root { Vec::new() } else { name.split('/').map(str::to_owned).collect() };
            read.files.insert(module.clone(), path.clone());
            read.follow(&module, &code::text(source, &["test"]).with_context(|| path.clone())?)?;
        }
        Ok(read)
    }

    /// Notes what `code` of `module` re-exports and uses.
    fn follow(&mut self, module: &Module, code: &str) -> Result<()> {
        let children: Vec<&str> =
            Regex::new(r"\bmod (\w+);")?.captures_iter(code).map(|found| found.extract::<1>().1[0]).collect();
        let statement = Regex::new(r"\b(pub(?:\([^)]*\))? ?)?use\b([^;]+);")?;
        for found in statement.captures_iter(code) {
            for (path, name) in leaves(&found[2]) {
                let Some(path) = absolute(module, &path, &children) else { continue };
                if found.get(1).is_some() {
                    self.exports.insert((module.clone(), name), path);
                } else {
                    self.uses.insert((module.clone(), path));
                }
            }
        }
        for found in Regex::new(r"\b\w+(::\w+)+")?.find_iter(&statement.replace_all(code, "")) {
            let path: Module = found.as_str().split("::").map(str::to_owned).collect();
            self.uses.extend(absolute(module, &path, &children).map(|path| (module.clone(), path)));
        }
        Ok(())
    }

    /// The module in whose file the item at `path` is defined.
    fn home(&self, path: &[String]) -> Module {
        let mut module = Module::new();
        for (at, segment) in path.iter().enumerate() {
            module.push(segment.clone());
            if !self.files.contains_key(&module) {
                module.pop();
                let target = self.exports.get(&(module.clone(), segment.clone()));
                return target.map_or(module, |target| self.home(&[target, &path[at + 1..]].concat()));
            }
        }
        module
    }

    /// The files on circles, and on ways from one circle to another.
    fn circle(&self) -> Vec<&str> {
        let arrows = self.uses.iter().map(|(module, path)| (module.clone(), self.home(path)));
        let mut arrows: BTreeSet<(Module, Module)> = arrows.filter(|(from, to)| from != to).collect();
        loop {
            // Arrows from a file that none uses, and to a file that uses none, are on no circle.
            let (users, used): (BTreeSet<_>, BTreeSet<_>) = arrows.iter().cloned().unzip();
            let before = arrows.len();
            arrows.retain(|(from, to)| used.contains(from) && users.contains(to));
            if arrows.len() == before {
                return users.iter().map(|module| self.files[module].as_str()).collect();
            }
        }
    }
}

/// `path` as seen from the crate's root, if it leads into this crate.
fn absolute(module: &Module, path: &[String], children: &[&str]) -> Option<Module> {
    let supers = path.iter().take_while(|segment| *segment == "super").count();
    let (start, rest) = match path.first()?.as_str() {
        "crate" => (&[][..], &path[1..]),
        "self" => (&module[..], &path[1..]),
        "super" => (&module[..module.len().checked_sub(supers)?], &path[supers..]),
        name if children.contains(&name) => (&module[..], path),
        _ => return None,
    };
    Some([start, rest].concat())
}

/// The paths in a `use`, and the name that each has here.
fn leaves(tree: &str) -> Vec<(Module, String)> {
    let innermost = Regex::new(r"([\w:]*)\{([^{}]*)\}").expect("it is a regular expression");
    let mut tree = tree.split_whitespace().collect::<Vec<_>>().join(" ");
    while innermost.is_match(&tree) {
        let flat = |found: &Captures<'_>| {
            let parts = found[2].split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(|part| format!("{}{part}", &found[1])).collect::<Vec<_>>().join(",")
        };
        tree = innermost.replace_all(&tree, flat).into_owned();
    }
    let leaf = |leaf: &str| {
        let (path, name) = leaf.trim().split_once(" as ").unwrap_or((leaf.trim(), ""));
        // `use super::{self, a}` and `use super::*` name the module itself.
        let path = path.strip_suffix("::self").unwrap_or(path).split("::").filter(|part| !matches!(*part, "" | "*"));
        let path: Module = path.map(str::to_owned).collect();
        let name = if name.is_empty() { path.last().cloned().unwrap_or_default() } else { name.to_owned() };
        (path, name)
    };
    tree.split(',').map(leaf).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tree::planted, *};

    fn circles(a: &str, b: &str) -> usize {
        let tree = planted([
            ("crates/x/src/lib.rs", "mod a;\nmod b;\npub use a::A;\npub(crate) use b::{B, deep::D as E};\n"),
            ("crates/x/src/a.rs", a),
            ("crates/x/src/b.rs", b),
            ("crates/x/src/b/deep.rs", "use crate::b::B;\npub(crate) struct D;\n"),
        ]);
        check(&tree).unwrap().len()
    }

    #[test]
    fn files_that_use_each_other_are_a_circle() {
        for (a, b) in [
            ("use crate::b::B;", "use crate::a::A;"),
            ("use crate::{c, b::{self, B}};", "fn f() { let x = crate::a::A; }"),
            ("use super::B;", "use crate::A;"),
            ("fn f() { g(|| super::b::h()); }", "impl T for super::A {}"),
            ("use crate::B as Other;", "use crate::A as Another;"),
            ("use crate::{\n    b::{\n        B,\n    },\n};", "use super::{\n    a::*,\n};"),
        ] {
            assert_eq!(circles(a, b), 1, "{a} {b}");
        }
        assert_eq!(circles("", "mod deep;\nuse deep::D;"), 1, "a parent and its child");
        assert_eq!(circles("use crate::E;", "mod deep;\nuse crate::a::A;"), 1, "by way of another's re-export");
    }

    #[test]
    fn declaring_exporting_and_testing_are_no_use() {
        for (a, b) in [
            ("use crate::b::B;", "pub use crate::a::A;"),
            ("use crate::b::B;", "pub(crate) use {crate::a::A};"),
            ("use crate::b::B;", "#[cfg(test)]\nmod tests { use crate::a::A; }"),
            ("use crate::b::B;", "#[cfg(test)]\nuse crate::a::A;"),
            ("use crate::b::B;", "mod deep;"),
            ("use crate::b::B;", "use std::a::A;"),
            ("use crate::b::B;", "/// See [`crate::a::A`].\nstruct B;"),
        ] {
            assert_eq!(circles(a, b), 0, "{a} {b}");
        }
    }
}
