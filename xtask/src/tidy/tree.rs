//! The repository's text files: all but those of git and of builds.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};

/// Relative path with `/` as separator, and the whole text. Files that are not UTF-8 are left out.
pub(super) type Tree = BTreeMap<String, String>;

pub(super) fn read(root: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut to_do = vec![root.to_owned()];
    while let Some(directory) = to_do.pop() {
        for entry in fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))? {
            let (entry, full) = entry.map(|entry| (entry.file_name(), entry.path()))?;
            let kind = full.symlink_metadata()?.file_type();
            if kind.is_dir() && entry != "target" && entry != ".git" {
                to_do.push(full);
            } else if full.is_file() {
                // The text of a link belongs to another file.
                let bytes = if kind.is_file() { fs::read(&full)? } else { Vec::new() };
                let path = full.strip_prefix(root)?.to_str().map(str::to_owned);
                tree.extend(path.zip(String::from_utf8(bytes).ok()));
            }
        }
    }
    Ok(tree)
}

/// A tree that is not on a disk.
#[cfg(test)]
pub(super) fn planted<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Tree {
    files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
}
