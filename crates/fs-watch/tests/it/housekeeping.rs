//! Housekeeping of a directory on the real thing: other processes, other people's files, names that change hands.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use unix_diag::{FileId, Table};

mod lock;
mod other;
mod survey;
mod sweep;

/// A place for one test.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    fn listen(&self, name: impl AsRef<Path>) -> UnixListener {
        UnixListener::bind(self.path(name)).unwrap()
    }

    /// A stale socket.
    fn leave(&self, name: impl AsRef<Path>) {
        drop(self.listen(&name));
        self.wait_until_left(name);
    }

    fn wait_until_left(&self, name: impl AsRef<Path>) {
        self.wait_until_all_left([name]);
    }

    /// Another test of this process may be starting a child, which has everything open that we have, for a moment.
    fn wait_until_all_left<P: AsRef<Path>>(&self, names: impl IntoIterator<Item = P>) {
        let metadata = |name: P| std::fs::symlink_metadata(self.path(name)).unwrap();
        let files: Vec<_> = names.into_iter().map(|name| FileId::of(&metadata(name))).collect();
        // Two tables, because one may lack a socket while its neighbour is being closed.
        while (0..2).any(|_| {
            let table = Table::read().unwrap();
            files.iter().any(|file| table.get(*file).is_some())
        }) {
            std::thread::yield_now();
        }
    }

    /// What is in the directory.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}
