//! The repository's text files: those that git tracks or would track, or all of them if git cannot tell.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

/// Relative path with `/` as separator, and the whole text. Files that are not UTF-8 are left out.
#[derive(Debug, Default)]
pub(super) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let paths = match from_git(root) {
            Some(paths) => paths,
            None => from_disk(root)?,
        };
        for path in paths {
            let full = root.join(&path);
            // git may still list files that are deleted here; the text of a link belongs to another file.
            if !full.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
                continue;
            }
            let bytes = fs::read(&full).with_context(|| format!("cannot read {}", full.display()))?;
            if let Ok(text) = String::from_utf8(bytes) {
                files.insert(path, text);
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

fn from_git(root: &Path) -> Option<Vec<String>> {
    let shell = Shell::new().ok()?;
    shell.change_dir(root);
    let list = cmd!(shell, "git ls-files --cached --others --exclude-standard -z");
    let list = list.quiet().ignore_stderr().read().ok()?;
    let paths: Vec<_> = list.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    // In an archive that was unpacked inside another repository, nothing is tracked.
    paths.iter().any(|path| path == "Cargo.toml").then_some(paths)
}

fn from_disk(root: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    let mut to_do = vec![PathBuf::new()];
    while let Some(dir) = to_do.pop() {
        let full = root.join(&dir);
        for entry in fs::read_dir(&full).with_context(|| format!("cannot list {}", full.display()))? {
            let entry = entry?;
            let path = dir.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                if entry.file_name() != "target" && entry.file_name() != ".git" {
                    to_do.push(path);
                }
            } else if let Some(path) = path.to_str() {
                paths.push(path.to_owned());
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_and_the_disk_agree_on_our_own_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let own = |paths: Vec<String>| -> Vec<String> {
            let mut own: Vec<_> = paths.into_iter().filter(|path| path.starts_with("xtask/src/")).collect();
            own.sort();
            own
        };
        let disk = own(from_disk(root).unwrap());
        assert!(disk.contains(&"xtask/src/tidy/tree.rs".to_owned()));
        if let Some(tracked) = from_git(root) {
            assert_eq!(own(tracked), disk);
        }
    }
}
