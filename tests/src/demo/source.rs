//! Real input: text files of this machine, and what lines they have.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Larger files would make a demo of waiting.
const MAX_FILE: u64 = 8 << 20;
/// Longer lines are not lines; well below what a receiver takes by default.
const MAX_LINE: usize = 64 << 10;
/// What there is on a machine without any of the others.
const OURS: &str = include_str!("source.rs");

/// A file and its lines.
#[derive(Debug, Clone)]
pub struct Source {
    /// How it is called on the screen.
    pub label: String,
    /// Where producers read it.
    pub path: PathBuf,
    /// Its lines, without line feeds; empty ones count.
    pub lines: Vec<Vec<u8>>,
}

impl Source {
    /// Reads a file, unless it is not text as every producer here passes it on.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        let metadata = path.symlink_metadata().ok()?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return None;
        }
        let lines = lines(&fs::read(path).ok()?)?;
        let label = path.display().to_string();
        Some(Self { label, path: path.to_owned(), lines })
    }
}

/// At least `count` sources, different ones as far as there are: the system's texts first, then all Rust sources
/// below `sources` as one file, then that directory's own texts. The last resort is written to `scratch`.
///
/// # Errors
///
/// `scratch` cannot be written to.
pub fn gather(sources: &Path, scratch: &Path, count: usize) -> Result<Vec<Source>> {
    let mut found: Vec<Source> = Vec::new();
    found.extend(all_rust(sources, scratch)?);
    found.extend(files_of(Path::new("/usr/share/common-licenses")));
    found.extend(
        ["/etc/services", "/etc/protocols", "/etc/mime.types"].iter().filter_map(|path| Source::read(Path::new(path))),
    );
    found.extend(files_of(sources));
    if found.is_empty() {
        let path = scratch.join("ours.txt");
        fs::write(&path, OURS).with_context(|| format!("cannot write {}", path.display()))?;
        found.extend(Source::read(&path));
    }
    // Long texts first: they are what producers overlap in.
    found.sort_by_key(|source| std::cmp::Reverse(source.lines.len()));
    Ok(found.iter().cycle().take(count.max(1)).cloned().collect())
}

fn files_of(dir: &Path) -> Vec<Source> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.iter().filter_map(|path| Source::read(path)).collect()
}

/// Every `.rs` file below `dir`, one after the other.
fn all_rust(dir: &Path, scratch: &Path) -> Result<Option<Source>> {
    let mut text = Vec::new();
    let mut to_do = vec![dir.to_owned()];
    while let Some(dir) = to_do.pop() {
        let Ok(listing) = fs::read_dir(&dir) else { continue };
        let mut entries: Vec<_> = listing.filter_map(Result::ok).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && name != "target" && !name.starts_with('.') => to_do.push(path),
                Ok(kind) if kind.is_file() && name.ends_with(".rs") => text.extend(fs::read(path).unwrap_or_default()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    let path = scratch.join("sources.txt");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Source::read(&path).map(|source| Source { label: format!("all .rs files below {}", dir.display()), ..source }))
}

/// The lines of a text: what stands before each line feed, and what stands after the last one if anything does.
///
/// `None` if some producer would pass it on differently: it is empty, not UTF-8, has carriage returns or very long lines.
fn lines(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() || text.contains(&b'\r') || std::str::from_utf8(text).is_err() {
        return None;
    }
    let lines: Vec<Vec<u8>> = text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.iter().all(|line| line.len() <= MAX_LINE).then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_count_and_a_missing_last_line_feed_does_not() {
        let texts = |text: &str| lines(text.as_bytes()).map(|lines| lines.len());
        assert_eq!(texts("a\n\nb\n"), Some(3));
        assert_eq!(texts("a\n\nb"), Some(3));
        assert_eq!(texts("a\n\n"), Some(2));
        assert_eq!(texts("\na"), Some(2));
        for unfit in ["", "\n", "a\r\nb\n"] {
            assert_eq!(texts(unfit), None, "{unfit:?}");
        }
        assert_eq!(lines(b"\xff\n"), None);
        assert_eq!(lines(&vec![b'a'; MAX_LINE + 1]), None);
    }

    #[test]
    fn there_is_always_something_to_send() {
        let empty = tempfile::tempdir().unwrap();
        let sources = gather(empty.path(), empty.path(), 12).unwrap();
        assert_eq!(sources.len(), 12);
        assert!(sources.iter().all(|source| source.path.is_file() && !source.lines.is_empty()));
    }

    #[test]
    fn every_rust_file_below_is_in_the_great_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/target")).unwrap();
        fs::write(dir.path().join("a/one.rs"), "1\n").unwrap();
        fs::write(dir.path().join("two.rs"), "2\n\n").unwrap();
        fs::write(dir.path().join("a/target/three.rs"), "3\n").unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let all = all_rust(dir.path(), scratch.path()).unwrap().unwrap();
        assert_eq!(all.lines, [b"2".to_vec(), b"".to_vec(), b"1".to_vec()]);
    }
}
