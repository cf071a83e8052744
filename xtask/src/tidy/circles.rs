//! No file of a crate uses what, by any way, uses it: files can be read in an order in which each knows those before it.
//!
//! A file uses another if its code names an item that is defined there. Declaring a module and re-exporting from it is no
//! use, nor is what tests do.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{code, problem::Problem, tree::Tree};

/// `listener::queue`, as the segments below the crate. The crate's root has none.
type Module = Vec<String>;

/// What the files of one crate define for each other, and use.
#[derive(Default)]
struct Crate {
    /// Each module with a file of its own, and its path.
    files: BTreeMap<Module, String>,
    /// Each name that a module re-exports, and what it stands for.
    exports: BTreeMap<(Module, String), Module>,
    /// Every path in the code of a module, from the root of the crate.
    uses: BTreeMap<Module, BTreeSet<Module>>,
}

pub(super) fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let roots = tree.iter().map(|(path, _)| path).filter(|path| is_root(path));
    let mut problems = Vec::new();
    for root in roots {
        problems.extend(Crate::read(tree, root)?.circles());
    }
    Ok(problems)
}

fn is_root(path: &str) -> bool {
    let in_package = path.strip_prefix("crates/").and_then(|rest| rest.split_once('/')).map(|(_, rest)| rest);
    matches!(in_package, Some("src/lib.rs" | "src/main.rs")) || path == "xtask/src/main.rs"
}

impl Crate {
    /// Follows the module declarations from `root`.
    fn read(tree: &Tree, root: &str) -> Result<Self> {
        let home = root.rsplit_once('/').map_or("", |(home, _)| home);
        let mut read = Self::default();
        let mut to_do = vec![(Module::new(), root.to_owned())];
        while let Some((module, path)) = to_do.pop() {
            let Some(source) = tree.get(&path) else { continue };
            let code = code::without_tests(code::parse(source).with_context(|| path.clone())?);
            let children = code::modules(&code);
            to_do.extend(children.iter().map(|name| {
                let child = joined(&module, [name.clone()]);
                let path = format!("{home}/{}.rs", child.join("/"));
                (child, path)
            }));
            read.files.insert(module.clone(), path);
            read.follow(&module, code, &children);
        }
        Ok(read)
    }

    /// Notes what `code` of `module` re-exports and uses.
    fn follow(&mut self, module: &Module, code: TokenStream, children: &[String]) {
        let tokens: Vec<TokenTree> = code.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(word) if word == "use" => {
                    let end = tokens[at..].iter().position(|token| is(token, ';')).map_or(tokens.len(), |end| at + end);
                    let is_public = at > 0 && is_visibility(&tokens[..at]);
                    for (path, name) in leaves(&tokens[at + 1..end]) {
                        let Some(path) = absolute(module, &path, children) else { continue };
                        if is_public {
                            self.exports.insert((module.clone(), name), path);
                        } else {
                            self.uses.entry(module.clone()).or_default().insert(path);
                        }
                    }
                    at = end;
                }
                TokenTree::Ident(_) => {
                    let (path, length) = path_at(&tokens[at..]);
                    if path.len() > 1
                        && let Some(path) = absolute(module, &path, children)
                    {
                        self.uses.entry(module.clone()).or_default().insert(path);
                    }
                    at += length;
                }
                TokenTree::Group(group) => {
                    self.follow(module, group.stream(), children);
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// The module in whose file the item at `path` is defined.
    fn home(&self, path: &[String]) -> Module {
        let mut module = Module::new();
        for (at, segment) in path.iter().enumerate() {
            let child = joined(&module, [segment.clone()]);
            if self.files.contains_key(&child) {
                module = child;
            } else if let Some(target) = self.exports.get(&(module.clone(), segment.clone())) {
                return self.home(&joined(target, path[at + 1..].to_vec()));
            } else {
                break;
            }
        }
        module
    }

    /// The files that each file uses.
    fn graph(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let others = |(module, paths): (&Module, &BTreeSet<Module>)| {
            let homes = paths.iter().map(|path| self.home(path)).filter(|home| home != module);
            (module.clone(), homes.collect())
        };
        self.uses.iter().map(others).collect()
    }

    fn circles(&self) -> Vec<Problem> {
        let graph = self.graph();
        let reached: BTreeMap<&Module, BTreeSet<&Module>> =
            graph.keys().map(|module| (module, reachable(&graph, module))).collect();
        let mut told = BTreeSet::new();
        let mut problems = Vec::new();
        for (module, all) in &reached {
            if !all.contains(module) || !told.insert(*module) {
                continue;
            }
            let circle: Vec<&Module> = all
                .iter()
                .copied()
                .filter(|other| reached.get(other).is_some_and(|back| back.contains(module)))
                .collect();
            told.extend(&circle);
            let named =
                circle.iter().map(|module| self.files[*module].rsplit_once("src/").map_or("", |(_, name)| name));
            let named: Vec<&str> = named.collect();
            problems.push(format!(
                "{}: a circle of files that use each other: {}",
                self.files[*module],
                named.join(", ")
            ));
        }
        problems
    }
}

/// The modules that `start` uses, and those that they use, and so on.
fn reachable<'a>(graph: &'a BTreeMap<Module, BTreeSet<Module>>, start: &Module) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut to_do: Vec<&Module> = graph.get(start).into_iter().flatten().collect();
    while let Some(module) = to_do.pop() {
        if reached.insert(module) {
            to_do.extend(graph.get(module).into_iter().flatten());
        }
    }
    reached
}

/// `path` as seen from the crate's root, if it leads into this crate.
fn absolute(module: &Module, path: &[String], children: &[String]) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let mut module = module.clone();
    let mut rest = rest;
    match first.as_str() {
        "crate" => module.clear(),
        "self" => {}
        "super" => {
            module.pop()?;
            while let Some(("super", further)) = rest.split_first().map(|(first, further)| (first.as_str(), further)) {
                module.pop()?;
                rest = further;
            }
        }
        name if children.iter().any(|child| child == name) => module.push(first.clone()),
        _ => return None,
    }
    Some(joined(&module, rest.to_vec()))
}

/// The paths in a `use`, without its last word, and the name each has here.
fn leaves(tokens: &[TokenTree]) -> Vec<(Module, String)> {
    let mut prefix = Module::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(word) if word == "as" => {
                let name = tokens.get(at + 1).map(ToString::to_string).unwrap_or_default();
                return vec![(prefix, name)];
            }
            TokenTree::Ident(word) => prefix.push(word.to_string()),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                let parts = inside.split(|token| is(token, ',')).filter(|part| !part.is_empty()).flat_map(leaves);
                return parts.map(|(path, name)| (joined(&prefix, path), name)).collect();
            }
            _ => {}
        }
    }
    // `use super::{self, a}` and `use super::*` name the module itself.
    if prefix.len() > 1 && prefix.last().is_some_and(|last| last == "self") {
        prefix.pop();
    }
    let name = prefix.last().cloned().unwrap_or_default();
    vec![(prefix, name)]
}

/// The path that starts at the first token, and how many tokens it takes.
fn path_at(tokens: &[TokenTree]) -> (Module, usize) {
    let mut path = Module::new();
    let mut at = 0;
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        path.push(word.to_string());
        at += 1;
        let goes_on = tokens.get(at).zip(tokens.get(at + 1)).is_some_and(|(a, b)| is(a, ':') && is(b, ':'));
        if !goes_on {
            break;
        }
        at += 2;
    }
    (path, at.max(1))
}

/// Whether `pub` or `pub(...)` is last.
fn is_visibility(before: &[TokenTree]) -> bool {
    let word = |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word == "pub");
    match before {
        [.., public, TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => word(public),
        [.., last] => word(last),
        [] => false,
    }
}

fn is(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == c)
}

fn joined(module: &Module, rest: impl IntoIterator<Item = String>) -> Module {
    module.iter().cloned().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(a: &str, b: &str) -> usize {
        let tree = Tree::from([
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
