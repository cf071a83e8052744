//! Housekeeping of a directory of sockets: who manages it, which processes use its sockets, and which sockets are
//! stale.
//!
//! | to | use |
//! |---|---|
//! | be the only manager of a directory | [`Lock`] |
//! | find out which processes have which sockets | [`survey`], [`Inspection`] |
//! | remove stale sockets and unused lock files | [`Sweep`] |
//!
//! None of this needs a [`Watcher`](crate::Watcher), and all of it blocks for as long as the filesystem and `/proc`
//! take. In a runtime, use its threads for blocking work.

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::io::Errno;
use socket_file::{Directory, Facts, Filesystem};

mod error;
mod lock;
mod processes;
mod survey;
mod sweep;

pub use error::Error;
pub use lock::Lock;
#[doc(inline)]
pub use lock_file::{Fault as LockFault, FileKind};
pub use processes::Process;
pub use survey::{Cost, Found, Inspection, PassedOver, Survey, survey};
pub use sweep::{Doubt, Fate, Finding, Kept, LockFate, LockFinding, Sweep, Swept};

/// A directory to manage, held open.
#[derive(Debug)]
struct Handle(Directory);

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Deref for Handle {
    type Target = Directory;

    fn deref(&self) -> &Directory {
        &self.0
    }
}

impl Handle {
    fn open(dir: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = dir.to_owned();
        match open(&dir, flags, Mode::empty()) {
            Ok(fd) => Ok(Self(Directory::new(fd, dir))),
            Err(Errno::NOENT) => Err(Error::Missing { dir }),
            Err(Errno::NOTDIR) => Err(Error::NotADirectory { dir }),
            Err(errno) => Err(Error::Unreadable { dir, source: errno.into() }),
        }
    }

    fn unreadable(&self, source: impl Into<io::Error>) -> Error {
        Error::Unreadable { dir: self.path().to_owned(), source: source.into() }
    }

    /// The name of its filesystem, if that may hide a socket's server from our kernel.
    fn hides_servers(&self) -> Option<&'static str> {
        Filesystem::of_file(self).hides_servers()
    }

    /// The names of all admitted sockets in it and what `lstat` returned for them, ordered by name.
    fn sockets(&self, admits: impl Fn(&OsStr) -> bool) -> Result<Vec<(OsString, Facts)>, Error> {
        let mut sockets = Vec::new();
        for entry in Dir::read_from(self).map_err(|errno| self.unreadable(errno))? {
            let entry = entry.map_err(|errno| self.unreadable(errno))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let plainly_other =
                !matches!(entry.file_type(), rustix::fs::FileType::Socket | rustix::fs::FileType::Unknown);
            if plainly_other || !admits(name) {
                continue;
            }
            if let Some(found) = self.find_socket(name).map_err(|error| self.unreadable(error))? {
                sockets.push((name.to_owned(), *found.facts()));
            }
        }
        sockets.sort_by(|(left, _), (right, _)| left.cmp(right));
        // A file that is renamed during a listing may be in it twice.
        sockets.dedup_by(|(left, _), (right, _)| left == right);
        Ok(sockets)
    }

    /// A path to `name` that is short enough for a socket's address, whatever the directory's path.
    fn short_path_of(&self, name: &OsStr) -> PathBuf {
        Path::new("/proc/self/fd").join(self.as_fd().as_raw_fd().to_string()).join(name)
    }

    fn failed(&self, doing: &'static str, name: &OsStr, source: impl Into<io::Error>) -> Error {
        Error::Failed { doing, path: self.path_of(name), source: source.into() }
    }
}
