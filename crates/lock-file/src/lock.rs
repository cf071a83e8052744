//! Taking the lock, and letting go of it.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, FlockOperation, Mode, OFlags, Stat, fchmod, flock, fstat, ftruncate, openat, statat},
    io::{Errno, pread, pwrite},
    process::geteuid,
};

use crate::{Error, Fault, FileKind};

/// How often to start again when the file is replaced between opening and locking it.
const ATTEMPTS: u32 = 8;

/// NONBLOCK: a named pipe must not make us wait for its other end.
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A lock that is held; dropping it lets go.
///
/// The file stays: were it removed, two processes could hold two files of that name.
#[derive(Debug)]
#[must_use = "the lock is let go when this is dropped"]
pub struct Lock {
    file: OwnedFd,
    pid: u32,
}

impl Lock {
    /// Takes the lock `name` in `directory`, or says who has it. The file is made where there is none, is private to this
    /// user, and has this process's pid in it. Does not wait.
    ///
    /// `directory` may be open for its path only (`O_PATH`).
    ///
    /// # Errors
    ///
    /// [`Error::Held`]; [`Error::Foreign`] if something else has that name; [`Error::Contended`] if it is replaced all the
    /// time; [`Error::Failed`] with what the operating system said.
    pub fn take(directory: impl AsFd, name: impl AsRef<Path>) -> Result<Self, Error> {
        let place = Place { directory: directory.as_fd(), name: name.as_ref() };
        for _ in 0..ATTEMPTS {
            if let Some(lock) = place.attempt()? {
                return Ok(lock);
            }
        }
        Err(Error::Contended { attempts: ATTEMPTS })
    }

    /// Takes a lock that some other program keeps, for a moment, so that nobody who heeds it begins meanwhile; `None` if
    /// there is no such file.
    ///
    /// Nothing is made, written or changed, and it does not matter whose file it is, if it can be read.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take); it is tried once.
    pub fn take_if_there(directory: impl AsFd, name: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        let place = Place { directory: directory.as_fd(), name: name.as_ref() };
        let kind = match place.stat() {
            Ok(stat) => FileKind::of_mode(stat.st_mode),
            // Nor can there be one whose name is too long.
            Err(Errno::NOENT | Errno::NAMETOOLONG) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        if kind != FileKind::Regular {
            return Err(Error::Foreign { fault: Fault::Kind(kind) });
        }
        let file = openat(place.directory, place.name, OFlags::RDONLY | SAFELY, Mode::empty()).map_err(failed)?;
        match place.lock(file)? {
            Some((lock, _)) => Ok(Some(lock)),
            None => Err(Error::Contended { attempts: 1 }),
        }
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

/// Where the lock is.
struct Place<'a> {
    directory: BorrowedFd<'a>,
    name: &'a Path,
}

impl Place<'_> {
    /// `None` if the file was replaced meanwhile.
    fn attempt(&self) -> Result<Option<Lock>, Error> {
        let file = self.open()?;
        let stat = fstat(&file).map_err(failed)?;
        if let Some(fault) = fault_of(&stat) {
            return Err(Error::Foreign { fault });
        }
        let Some((lock, stat)) = self.lock(file)? else { return Ok(None) };
        if stat.st_nlink != 1 {
            return Err(Error::Foreign { fault: Fault::Links });
        }
        // The umask may have taken bits away, and somebody may have added some: a reader could hold the lock.
        fchmod(&lock.file, PRIVATE).map_err(failed)?;
        ftruncate(&lock.file, 0).map_err(failed)?;
        pwrite(&lock.file, format!("{}\n", lock.pid).as_bytes(), 0).map_err(failed)?;
        Ok(Some(lock))
    }

    fn open(&self) -> Result<OwnedFd, Error> {
        openat(self.directory, self.name, OFlags::RDWR | OFlags::CREATE | SAFELY, PRIVATE).map_err(|errno| {
            // What is in the way says more than the error; a symbolic link, for one, gives ELOOP.
            let fault = self.stat().ok().as_ref().and_then(fault_of);
            fault.map_or_else(|| failed(errno), |fault| Error::Foreign { fault })
        })
    }

    /// Locks the open file; `None` if it is not, or no longer, the one of this name. Only what is looked at under the lock
    /// counts.
    fn lock(&self, file: OwnedFd) -> Result<Option<(Lock, Stat)>, Error> {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Error::Held { pid: written_pid(&file) }),
            Err(errno) => return Err(failed(errno)),
        }
        let lock = Lock { file, pid: std::process::id() };
        let held = fstat(&lock.file).map_err(failed)?;
        match self.stat() {
            Ok(named) if (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino) => Ok(Some((lock, held))),
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed(errno)),
        }
    }

    fn stat(&self) -> rustix::io::Result<Stat> {
        statat(self.directory, self.name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// What keeps the file from being a lock of ours, as far as it can be said before it is locked.
fn fault_of(stat: &Stat) -> Option<Fault> {
    match FileKind::of_mode(stat.st_mode) {
        FileKind::Regular if stat.st_uid != geteuid().as_raw() => Some(Fault::Owner(stat.st_uid)),
        FileKind::Regular => None,
        kind => Some(Fault::Kind(kind)),
    }
}

/// The pid in a lock file that somebody else holds. It is written right after locking, so it may be missing; it is
/// for people to read, nothing is decided by it.
fn written_pid(file: &OwnedFd) -> Option<u32> {
    let mut text = [0; 16];
    let len = pread(file, &mut text, 0).ok()?;
    std::str::from_utf8(text.get(..len)?).ok()?.strip_suffix('\n')?.parse().ok()
}

fn failed(errno: Errno) -> Error {
    Error::Failed { source: errno.into() }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn a_file_that_was_replaced_or_removed_before_it_was_locked_is_not_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let directory = File::open(dir.path()).unwrap();
        let place = Place { directory: directory.as_fd(), name: Path::new("a") };
        assert!(place.lock(place.open().unwrap()).unwrap().is_some());

        let opened = place.open().unwrap();
        fs::write(dir.path().join("b"), "").unwrap();
        fs::rename(dir.path().join("b"), dir.path().join("a")).unwrap();
        assert!(place.lock(opened).unwrap().is_none());

        let opened = place.open().unwrap();
        fs::remove_file(dir.path().join("a")).unwrap();
        assert!(place.lock(opened).unwrap().is_none());
        drop(Lock::take(&directory, "a").unwrap());
    }
}
