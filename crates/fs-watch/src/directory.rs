//! Housekeeping of a directory of sockets: whose it is, who is in it, and what nobody needs any more.
//!
//! | question | |
//! |---|---|
//! | Am I the only manager of this directory? | [`Lock`] |
//! | Which processes listen on what in there? | [`survey`], [`Inspection`] |
//! | Which sockets and lock files are left over? Remove them | [`Sweep`] |
//!
//! None of this needs a [`Watcher`](crate::Watcher), and all of it blocks for as long as the filesystem and `/proc` take:
//! in a runtime, use its threads for blocking work.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, open, openat, statat};
use rustix::io::Errno;
use socket_file::Facts;

use crate::error::Error;
use crate::filesystem::Filesystem;

mod backing;
mod lock;
mod processes;
mod survey;
mod sweep;

pub use lock::Lock;
#[doc(inline)]
pub use lock_file::{Fault as LockFault, FileKind};
pub use processes::Process;
pub use survey::{Cost, Found, Inspection, PassedOver, Survey, survey};
pub use sweep::{Doubt, Fate, Finding, Kept, LockFate, LockFinding, Sweep, Swept};

/// The name of the filesystem that a file is on, if that may hide a socket's server from our kernel.
fn hides_servers(file: impl AsFd) -> Option<&'static str> {
    let facts = rustix::fs::fstatfs(file);
    facts.map_or(Filesystem::Other, |facts| Filesystem::of(facts.f_type as u64)).hides_servers()
}

/// A directory, held open: whatever happens to its path, what is done is done in this one.
#[derive(Debug)]
struct Handle {
    fd: OwnedFd,
    path: PathBuf,
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Handle {
    fn open(dir: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = dir.to_owned();
        match open(&dir, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: dir }),
            Err(Errno::NOENT) => Err(Error::Missing { dir }),
            Err(Errno::NOTDIR) => Err(Error::NotADirectory { dir }),
            Err(errno) => Err(Error::Unreadable { dir, source: errno.into() }),
        }
    }

    /// The names of all sockets in it that are admitted, and what `lstat` says of them, in the order of the names.
    fn sockets(&self, admits: impl Fn(&OsStr) -> bool) -> Result<Vec<(OsString, Facts)>, Error> {
        let unreadable = |errno: Errno| Error::Unreadable { dir: self.path.clone(), source: errno.into() };
        let mut sockets = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let plainly_other =
                !matches!(entry.file_type(), rustix::fs::FileType::Socket | rustix::fs::FileType::Unknown);
            if plainly_other || !admits(name) {
                continue;
            }
            match self.find(name) {
                Ok(Some(found)) => sockets.push((name.to_owned(), found.facts)),
                Ok(None) => {}
                Err(errno) => return Err(unreadable(errno)),
            }
        }
        sockets.sort_by(|(left, _), (right, _)| left.cmp(right));
        // A file that is renamed during a listing may be in it twice.
        sockets.dedup_by(|(left, _), (right, _)| left == right);
        Ok(sockets)
    }

    /// The socket of this name, held: as long as it is, its inode's number cannot come to mean another. `None` if there
    /// is none, or something else.
    fn find(&self, name: &OsStr) -> Result<Option<Held>, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(self, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let metadata = file.metadata().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let is_socket = metadata.file_type().is_socket();
        Ok(is_socket.then(|| Held { facts: Facts::of(&metadata), file }))
    }

    /// Device and inode of whatever has this name.
    fn number_of(&self, name: &OsStr) -> Result<Option<(u64, u64)>, Errno> {
        match statat(self, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((stat.st_dev, stat.st_ino))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// A way to `name` that is short enough for a socket's address, whatever the directory's path.
    fn short_path_of(&self, name: &OsStr) -> PathBuf {
        Path::new("/proc/self/fd").join(self.fd.as_raw_fd().to_string()).join(name)
    }

    fn failed(&self, doing: &'static str, name: &OsStr, source: impl Into<io::Error>) -> Error {
        Error::Housekeeping { doing, path: self.path_of(name), source: source.into() }
    }
}

/// A socket's file, and what is known of it.
#[derive(Debug)]
struct Held {
    file: File,
    facts: Facts,
}

impl Held {
    fn number(&self) -> (u64, u64) {
        (self.facts.device, self.facts.inode)
    }
}
