//! The repository's text files: all but those of git and of builds.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};

/// Relative path with `/` as separator, and the whole text. Files that are not UTF-8 are left out.
#[derive(Debug, Default)]
pub(super) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut to_do = vec![root.to_owned()];
        while let Some(directory) = to_do.pop() {
            for entry in fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))? {
                let (entry, full) = entry.map(|entry| (entry.file_name(), entry.path()))?;
                // The text of a link belongs to another file.
                let kind = full.symlink_metadata()?.file_type();
                if kind.is_dir() && entry != "target" && entry != ".git" {
                    to_do.push(full);
                } else if kind.is_file() {
                    let bytes = fs::read(&full).with_context(|| format!("cannot read {}", full.display()))?;
                    let path = full.strip_prefix(root)?.to_str().map(str::to_owned);
                    files.extend(path.zip(String::from_utf8(bytes).ok()));
                }
            }
        }
        Ok(Self { files })
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

/// A tree that is not on a disk.
#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Tree {
    fn from(files: [(&str, &str); N]) -> Self {
        Self { files: files.map(|(path, text)| (path.into(), text.into())).into() }
    }
}
