//! The lock beside a socket: whoever holds it may replace and remove the name.

use std::ffi::OsString;
use std::os::fd::OwnedFd;

use rustix::fs::{FlockOperation, Mode, OFlags, fchmod, flock, fstat, ftruncate, openat, statat};
use rustix::io::{Errno, pread, pwrite};

use super::directory::{Directory, Identity};
use crate::address::FileKind;
use crate::error::{Error, LockFault, Result};

/// How often to start again when the lock file is replaced between opening and locking it.
const ATTEMPTS: u32 = 8;

/// A held lock; dropping it lets go. The file stays: were it removed, two starters could hold two files of that name.
#[derive(Debug)]
pub(crate) struct LockFile {
    file: OwnedFd,
    pid: u32,
}

impl Drop for LockFile {
    /// Closing is not enough: between fork and exec, a child that another thread is starting has the lock as well.
    /// Unlocking takes it from all who share it — hence only in the process that locked, not in a copy of it.
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            let _ = flock(&self.file, FlockOperation::NonBlockingUnlock);
        }
    }
}

impl LockFile {
    /// Takes the lock of the socket that `directory` was opened for, or says who has it.
    pub(crate) fn take(directory: &Directory) -> Result<Self> {
        let name = directory.path().lock_name();
        for _ in 0..ATTEMPTS {
            if let Some(lock) = Self::attempt(directory, &name)? {
                return Ok(lock);
            }
        }
        Err(directory.contended(ATTEMPTS))
    }

    fn attempt(directory: &Directory, name: &OsString) -> Result<Option<Self>> {
        let path = || directory.path().directory().join(name);
        let failed = |errno| directory.failed("take the lock beside", errno);
        let foreign = |fault| Error::ForeignLock { lock: path(), fault };

        // NONBLOCK: a named pipe must not make us wait for its other end.
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match openat(directory, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => file,
            Err(errno) => {
                // What is in the way says more than the error; a symlink for one gives ELOOP.
                let Ok(stat) = statat(directory, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) else {
                    return Err(failed(errno));
                };
                let own = rustix::process::geteuid().as_raw();
                return Err(match FileKind::of(&stat) {
                    FileKind::Regular if stat.st_uid != own => foreign(LockFault::Owner(stat.st_uid)),
                    FileKind::Regular => failed(errno),
                    kind => foreign(LockFault::Kind(kind)),
                });
            }
        };

        let stat = fstat(&file).map_err(failed)?;
        let kind = FileKind::of(&stat);
        if kind != FileKind::Regular {
            return Err(foreign(LockFault::Kind(kind)));
        }
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(foreign(LockFault::Owner(stat.st_uid)));
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let pid = written_pid(&file);
                return Err(Error::Locked { path: directory.path().as_path().to_owned(), lock: path(), pid });
            }
            Err(errno) => return Err(failed(errno)),
        }

        let lock = Self { file, pid: std::process::id() };

        // Locked, but is it still the file of that name? Only what is looked at under the lock counts.
        let stat = fstat(&lock.file).map_err(failed)?;
        match directory.identity_of(name).map_err(failed)? {
            Some(identity) if identity == Identity::from(&stat) => {}
            Some(_) | None => return Ok(None),
        }
        if stat.st_nlink != 1 {
            return Err(foreign(LockFault::Links));
        }
        // The umask may have taken bits away, and somebody may have added some: a reader could hold the lock.
        fchmod(&lock.file, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        ftruncate(&lock.file, 0).map_err(failed)?;
        pwrite(&lock.file, format!("{}\n", lock.pid).as_bytes(), 0).map_err(failed)?;
        Ok(Some(lock))
    }
}

/// The pid in a lock file that somebody else holds. It is written right after locking, so it may be missing; it is
/// for people to read, nothing is decided by it.
fn written_pid(file: &OwnedFd) -> Option<u32> {
    let mut text = [0; 16];
    let len = pread(file, &mut text, 0).ok()?;
    std::str::from_utf8(text.get(..len)?).ok()?.strip_suffix('\n')?.parse().ok()
}
