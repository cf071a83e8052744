//! One manager per directory.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::fstat;

use super::{Error, Handle};

/// The lock's name in the directory: a dot-file, which no watcher reports.
const NAME: &str = ".fs-watch.lock";

/// The exclusive right to manage a directory, among processes that ask for it; from [`Lock::take`].
///
/// It is an advisory lock (`flock(2)`) on the file `.fs-watch.lock` in the directory, which contains the holder's pid.
/// The kernel releases it when the process ends, however it ends. It does not stop other processes from creating and
/// removing sockets in the directory.
///
/// Dropping it removes the file and releases the lock. That is safe because the file is removed while it is locked: a manager
/// that opened it before finds, once it has locked it, that it has lost its name, and starts again.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Lock {
    dir: PathBuf,
    handle: Handle,
    /// `None` once it is dropped.
    held: Option<lock_file::Lock>,
}

impl Lock {
    /// Takes the lock of `dir`, or returns an error that names the holder. Does not wait.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`]; [`Error::ForeignLock`] if another file has the name of the lock; [`Error::SharedDirectory`]
    /// if other users may rename the lock; and errors from opening the directory or writing to it.
    pub fn take(dir: impl AsRef<Path>) -> Result<Self, Error> {
        let handle = Handle::open(dir.as_ref())?;
        let mode = fstat(&handle).map_err(|errno| handle.failed("examine", OsStr::new("."), errno))?.st_mode;
        let (shared, sticky) = (0o022, 0o1000);
        if mode & shared != 0 && mode & sticky == 0 {
            return Err(Error::SharedDirectory { dir: dir.as_ref().to_owned(), mode: mode & 0o7777 });
        }
        match lock_file::Lock::take(&handle, NAME) {
            Ok(held) => Ok(Self { dir: dir.as_ref().to_owned(), handle, held: Some(held) }),
            Err(error) => Err(not_locked(&handle, error)),
        }
    }

    /// The directory, as you gave it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            // A file that stays is in no manager's way.
            let _ = held.remove(&self.handle, NAME);
        }
    }
}

fn not_locked(handle: &Handle, error: lock_file::Error) -> Error {
    let name = OsStr::new(NAME);
    let (dir, lock) = (handle.path().to_owned(), handle.path_of(name));
    match error {
        lock_file::Error::Held { pid } => Error::Locked { dir, lock, pid },
        // Another process examines or replaces the file all the time, so treat it as locked.
        lock_file::Error::Examined | lock_file::Error::Contended { .. } => Error::Locked { dir, lock, pid: None },
        lock_file::Error::Foreign { fault } => Error::ForeignLock { lock, fault },
        error => handle.failed("take the lock", name, error),
    }
}
