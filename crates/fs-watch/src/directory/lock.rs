//! One manager per directory.

use std::ffi::OsStr;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, fchmod, flock, fstat, ftruncate, openat, statat};
use rustix::io::{Errno, pread, pwrite};

use super::Handle;
use crate::error::Error;

/// The lock's name in the directory: a dot-file, which no watcher reports.
const NAME: &str = ".fs-watch.lock";

/// How often to start again when the lock file is replaced between opening and locking it.
const ATTEMPTS: u32 = 8;

/// The exclusive right to manage a directory, among those who ask for it; from [`Lock::take`].
///
/// It is an advisory lock (`flock(2)`) on a file in the directory, `.fs-watch.lock`, with the holder's pid in it. The kernel
/// lets go of it when the process ends, however it ends. It keeps nobody from making and removing sockets in there.
///
/// Dropping it lets go. The file stays: were it removed, two managers could hold two files of that name.
#[derive(Debug)]
#[must_use = "the lock is let go when this is dropped"]
pub struct Lock {
    file: OwnedFd,
    dir: PathBuf,
    pid: u32,
}

/// Why a lock file is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockFault {
    /// It belongs to somebody else, who could keep us from locking it for ever.
    Owner(u32),
    /// It has other names, so that somebody may hold it under one of them.
    Links,
    /// It is not a regular file.
    NotAFile,
}

impl fmt::Display for LockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(uid) => write!(f, "it belongs to uid {uid}"),
            Self::Links => f.write_str("it has further names (hard links)"),
            Self::NotAFile => f.write_str("it is not a regular file"),
        }
    }
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
            return Err(Error::SharedDirectory { dir: handle.path, mode: mode & 0o7777 });
        }
        for _ in 0..ATTEMPTS {
            if let Some(lock) = Self::attempt(&handle)? {
                return Ok(lock);
            }
        }
        // Somebody replaces it all the time, so somebody has one.
        Err(Error::Locked { lock: handle.path_of(OsStr::new(NAME)), dir: handle.path, pid: None })
    }

    /// The directory, as it was given.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn attempt(handle: &Handle) -> Result<Option<Self>, Error> {
        let name = OsStr::new(NAME);
        let failed = |errno| handle.failed("take the lock", name, errno);
        let foreign = |fault| Error::ForeignLock { lock: handle.path_of(name), fault };
        let own = rustix::process::geteuid().as_raw();

        // NONBLOCK: a named pipe must not make us wait for its other end.
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match openat(handle, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => file,
            Err(errno) => {
                // What is in the way says more than the error; a symbolic link gives ELOOP.
                let Ok(stat) = statat(handle, name, AtFlags::SYMLINK_NOFOLLOW) else { return Err(failed(errno)) };
                return Err(match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile if stat.st_uid != own => foreign(LockFault::Owner(stat.st_uid)),
                    FileType::RegularFile => failed(errno),
                    _ => foreign(LockFault::NotAFile),
                });
            }
        };
        let stat = fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(foreign(LockFault::NotAFile));
        }
        if stat.st_uid != own {
            return Err(foreign(LockFault::Owner(stat.st_uid)));
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let (lock, pid) = (handle.path_of(name), written_pid(&file));
                return Err(Error::Locked { dir: handle.path.clone(), lock, pid });
            }
            Err(errno) => return Err(failed(errno)),
        }
        let lock = Self { file, dir: handle.path.clone(), pid: std::process::id() };

        // Only what is looked at under the lock counts: is it still the file of that name?
        let stat = fstat(&lock.file).map_err(failed)?;
        if handle.number_of(name).map_err(failed)? != Some((stat.st_dev, stat.st_ino)) {
            return Ok(None);
        }
        if stat.st_nlink != 1 {
            return Err(foreign(LockFault::Links));
        }
        // Whoever may read it could hold it: the mode is made what it shall be, whatever the umask or somebody's chmod.
        fchmod(&lock.file, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        ftruncate(&lock.file, 0).map_err(failed)?;
        pwrite(&lock.file, format!("{}\n", lock.pid).as_bytes(), 0).map_err(failed)?;
        Ok(Some(lock))
    }
}

impl Drop for Lock {
    /// Closing is not enough: between fork and exec, a child that another thread is starting has the lock as well.
    /// Unlocking takes it from all who share it — hence only in the process that locked, not in a copy of it.
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            let _ = flock(&self.file, FlockOperation::NonBlockingUnlock);
        }
    }
}

/// The pid in a lock file that somebody else holds. It is written right after locking, so it may be missing; it is
/// for people to read, nothing is decided by it.
pub(super) fn written_pid(file: &OwnedFd) -> Option<u32> {
    let mut text = [0; 16];
    let len = pread(file, &mut text, 0).ok()?;
    std::str::from_utf8(text.get(..len)?).ok()?.strip_suffix('\n')?.parse().ok()
}
