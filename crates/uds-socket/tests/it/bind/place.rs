//! A place to bind in, and what is found there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use test_kit::process::{Watchdog, public_directory};
use uds_socket::{Bind, BindError, Connect, Listener, Peer, Verdict, probe};

/// A directory of our own, a path in it, and a runtime that owns the sockets.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
    pub(crate) runtime: tokio::runtime::Runtime,
    _watchdog: Watchdog,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    /// One that others may pass.
    pub(crate) fn public() -> Self {
        Self::at(public_directory())
    }

    fn at(directory: TempDir) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { directory, runtime, _watchdog: Watchdog::start() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.beside("x.sock")
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn listen(&self, bind: Bind) -> Result<Listener, BindError> {
        let _guard = self.runtime.enter();
        bind.listen()
    }

    pub(crate) fn rejected(&self, path: impl Into<PathBuf>) -> BindError {
        self.listen(Bind::path(path)).expect_err("an error")
    }

    /// Every name in the directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

pub(crate) fn inode(path: &Path) -> u64 {
    path.symlink_metadata().unwrap().ino()
}

pub(crate) fn leave_stale(path: &Path) {
    drop(StdListener::bind(path).unwrap());
    until_stale(path);
}

/// A process that another test is starting has our sockets too until it becomes another program.
pub(crate) fn until_stale(path: &Path) {
    while probe(path).unwrap().verdict != Verdict::Stale {
        std::thread::yield_now();
    }
}

/// Whether a client reaches this process through `path`.
pub(crate) fn served_by(path: &Path) -> Option<u32> {
    Peer::of(Connect::path(path).connect_blocking().unwrap()).unwrap().pid()
}
