//! One manager per directory.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::fstat;

use super::{Error, Handle};

/// The lock's name in the directory: a dot-file, which no watcher reports.
const NAME: &str = ".fs-watch.lock";

/// The exclusive right to manage a directory, among those who ask for it; from [`Lock::take`].
///
/// It is an advisory lock (`flock(2)`) on a file in the directory, `.fs-watch.lock`, with the holder's pid in it. The kernel
/// lets go of it when the process ends, however it ends. It keeps nobody from making and removing sockets in there.
///
/// Dropping it lets go. The file stays: were it removed, two managers could hold two files of that name.
#[derive(Debug)]
#[must_use = "the lock is let go when this is dropped"]
pub struct Lock {
    dir: PathBuf,
    _held: lock_file::Lock,
}

impl Lock {
    /// Takes the lock of `dir`, or says who has it. Does not wait.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`]; [`Error::ForeignLock`] if something else has the name of the lock; [`Error::SharedDirectory`] if
    /// others may rename the lock away; and what keeps the directory from being opened or written to.
    pub fn take(dir: impl AsRef<Path>) -> Result<Self, Error> {
        let handle = Handle::open(dir.as_ref())?;
        let mode = fstat(&handle).map_err(|errno| handle.failed("look at", OsStr::new("."), errno))?.st_mode;
        let (shared, sticky) = (0o022, 0o1000);
        if mode & shared != 0 && mode & sticky == 0 {
            return Err(Error::SharedDirectory { dir: dir.as_ref().to_owned(), mode: mode & 0o7777 });
        }
        match lock_file::Lock::take(&handle, NAME) {
            Ok(held) => Ok(Self { dir: dir.as_ref().to_owned(), _held: held }),
            Err(error) => Err(refused(&handle, error)),
        }
    }

    /// The directory, as it was given.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

fn refused(handle: &Handle, error: lock_file::Error) -> Error {
    let name = OsStr::new(NAME);
    let (dir, lock) = (handle.path().to_owned(), handle.path_of(name));
    match error {
        lock_file::Error::Held { pid } => Error::Locked { dir, lock, pid },
        // Somebody replaces it all the time, so somebody has one.
        lock_file::Error::Examined | lock_file::Error::Contended { .. } => Error::Locked { dir, lock, pid: None },
        lock_file::Error::Foreign { fault } => Error::ForeignLock { lock, fault },
        error => handle.failed("take the lock", name, error),
    }
}
