//! Taking the lock, releasing it, and removing its file.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, FlockOperation, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, flock, fstat, ftruncate, openat, statat,
        unlinkat,
    },
    io::{Errno, pread, pwrite},
    process::{Resource, geteuid, getrlimit},
};

use crate::{Error, Fault, FileKind};

/// The number of attempts when the file is replaced between opening and locking it.
const ATTEMPTS: u32 = 8;

/// NONBLOCK: opening a named pipe must not wait for its other end.
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

const ALONE: FlockOperation = FlockOperation::NonBlockingLockExclusive;
const SHARED: FlockOperation = FlockOperation::NonBlockingLockShared;

const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The longest text that a lock file has: a pid and a newline.
const LONGEST_TEXT: u64 = 16;

/// A lock that is held. Dropping it releases the lock and leaves the file in place.
///
/// [`remove`](Self::remove) also removes the file.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Lock {
    file: OwnedFd,
    pid: u32,
}

impl Lock {
    /// Takes the lock `name` in `directory`, or returns which process has it. It does not wait.
    ///
    /// Creates the file if it is missing, and makes it private. The file belongs to this user, or to the directory's
    /// owner: if root creates it in a user's own directory, root gives it to that user, who could not lock it
    /// otherwise. If root's lock file cannot be opened by the owner of the directory, it is replaced.
    ///
    /// Writes this process's pid to the file if there is room. Nothing depends on that, so a full disk or a limit on
    /// the size of files (`RLIMIT_FSIZE`) does no harm.
    ///
    /// You may open `directory` as a path only (`O_PATH`).
    ///
    /// # Errors
    ///
    /// [`Error::Held`]; [`Error::Examined`], which passes soon; [`Error::Foreign`] if the name belongs to another kind
    /// of file; [`Error::Contended`] if the file is constantly being replaced; [`Error::Failed`] with the operating
    /// system's error.
    pub fn take(directory: impl AsFd, name: impl AsRef<Path>) -> Result<Self, Error> {
        let place = Place { directory: directory.as_fd(), name: name.as_ref() };
        for _ in 0..ATTEMPTS {
            if let Some(lock) = place.attempt()? {
                return Ok(lock);
            }
        }
        Err(Error::Contended { attempts: ATTEMPTS })
    }

    /// Examines a lock that another program uses: as long as you hold the returned value, no process can take the lock.
    /// `None` if there is no such file.
    ///
    /// Several processes may examine a lock at the same time. A process that tries to take it gets [`Error::Examined`].
    ///
    /// Nothing is created, written or changed. The file may belong to any user, if it can be read.
    ///
    /// # Errors
    ///
    /// The same as [`take`](Self::take), with a single attempt.
    pub fn examine(directory: impl AsFd, name: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        let place = Place { directory: directory.as_fd(), name: name.as_ref() };
        let kind = match place.stat() {
            Ok(stat) => FileKind::of_mode(stat.st_mode),
            // A file with a name that is too long cannot exist either.
            Err(Errno::NOENT | Errno::NAMETOOLONG) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        if kind != FileKind::Regular {
            return Err(Error::Foreign { fault: Fault::Kind(kind) });
        }
        let file = openat(place.directory, place.name, OFlags::RDONLY | SAFELY, Mode::empty()).map_err(failed)?;
        match place.lock(file, SHARED)? {
            Some((lock, _)) => Ok(Some(lock)),
            None => Err(Error::Contended { attempts: 1 }),
        }
    }

    /// Whether the locked file still has this name. Only then does the lock exclude other processes.
    ///
    /// # Errors
    ///
    /// The operating system's error.
    pub fn has_name(&self, directory: impl AsFd, name: impl AsRef<Path>) -> io::Result<bool> {
        let place = Place { directory: directory.as_fd(), name: name.as_ref() };
        let held = fstat(&self.file)?;
        match place.stat() {
            Ok(named) => Ok(is_same(&named, &held)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes the file, then releases the lock. `Ok(false)` if another file has the name; that file stays.
    ///
    /// Removing the file while it is locked is safe: a process that opened it before and locks it afterwards compares
    /// it with the file that has the name (see the front page), finds none or another one, and starts again. A copy of
    /// this process made by `fork` removes nothing.
    ///
    /// # Errors
    ///
    /// The reason why the file could not be removed. The lock is released in any case. For a lock that was
    /// [examined](Self::examine): [`WouldBlock`](io::ErrorKind::WouldBlock) if another process holds or examines it
    /// now.
    pub fn remove(self, directory: impl AsFd, name: impl AsRef<Path>) -> io::Result<bool> {
        if self.pid != std::process::id() {
            return Ok(false);
        }
        // Two processes that only examine it must not both remove it: the second one might remove a new file. If the
        // lock is already exclusive, this changes nothing.
        flock(&self.file, ALONE)?;
        if !self.has_name(&directory, &name)? {
            return Ok(false);
        }
        unlinkat(directory, name.as_ref(), AtFlags::empty())?;
        Ok(true)
    }
}

impl Drop for Lock {
    /// Closing is not enough: between fork and exec, a child that another thread is starting shares the lock. Unlocking
    /// releases it for all who share it, so only the process that locked it does that, and not a copy of it.
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            let _ = flock(&self.file, FlockOperation::NonBlockingUnlock);
        }
    }
}

/// The location of a lock.
struct Place<'a> {
    directory: BorrowedFd<'a>,
    name: &'a Path,
}

impl Place<'_> {
    /// `None` if the file was replaced in the meantime.
    fn attempt(&self) -> Result<Option<Lock>, Error> {
        let directory = fstat(self.directory).map_err(failed)?;
        let Some(file) = self.open(&directory)? else { return Ok(None) };
        let stat = fstat(&file).map_err(failed)?;
        if let Some(fault) = fault_of(&stat, &directory) {
            return Err(Error::Foreign { fault });
        }
        let Some((lock, stat)) = self.lock(file, ALONE)? else { return Ok(None) };
        if stat.st_nlink != 1 {
            return Err(Error::Foreign { fault: Fault::Links });
        }
        let own = geteuid().as_raw();
        if own == 0 && stat.st_uid == 0 && directory.st_uid != 0 {
            let (uid, gid) = (Uid::from_raw(directory.st_uid), Gid::from_raw(directory.st_gid));
            // Best effort: root of a user namespace cannot give files to an owner that is not mapped there (EINVAL),
            // and root without CAP_CHOWN cannot give them to any other user (EPERM). The lock is valid even so.
            let _ = fchown(&lock.file, Some(uid), Some(gid));
        }
        // The umask may have cleared bits, and another process may have added some: a reader could hold the lock.
        fchmod(&lock.file, PRIVATE).map_err(failed)?;
        lock.write_pid();
        Ok(Some(lock))
    }

    /// `None` if a file that was in the way has been removed.
    fn open(&self, directory: &Stat) -> Result<Option<OwnedFd>, Error> {
        match openat(self.directory, self.name, OFlags::RDWR | OFlags::CREATE | SAFELY, PRIVATE) {
            Ok(file) => Ok(Some(file)),
            Err(errno) => {
                // The file in the way says more than the error; for example, a symbolic link causes ELOOP.
                let Ok(stat) = self.stat() else { return Err(failed(errno)) };
                if errno == Errno::ACCESS && is_left_by_root(&stat, directory) {
                    return match unlinkat(self.directory, self.name, AtFlags::empty()) {
                        Ok(()) | Err(Errno::NOENT) => Ok(None),
                        Err(_) => Err(Error::Foreign { fault: Fault::Owner(stat.st_uid) }),
                    };
                }
                let fault = match FileKind::of_mode(stat.st_mode) {
                    FileKind::Regular if errno == Errno::ACCESS && stat.st_uid != geteuid().as_raw() => {
                        Some(Fault::Owner(stat.st_uid))
                    }
                    _ => fault_of(&stat, directory),
                };
                Err(fault.map_or_else(|| failed(errno), |fault| Error::Foreign { fault }))
            }
        }
    }

    /// Locks the open file; `None` if it does not have this name, or not any more. Only what is checked under the lock
    /// counts.
    fn lock(&self, file: OwnedFd, how: FlockOperation) -> Result<Option<(Lock, Stat)>, Error> {
        let taken = flock(&file, how);
        let lock = Lock { file, pid: std::process::id() };
        match taken {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) if how == ALONE && flock(&lock.file, SHARED).is_ok() => {
                // No process holds it any more. Those that examine it do so only briefly.
                flock(&lock.file, ALONE).map_err(|_| Error::Examined)?;
            }
            Err(Errno::WOULDBLOCK) => return Err(Error::Held { pid: written_pid(&lock.file) }),
            Err(errno) => return Err(failed(errno)),
        }
        let held = fstat(&lock.file).map_err(failed)?;
        match self.stat() {
            Ok(named) if is_same(&named, &held) => Ok(Some((lock, held))),
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed(errno)),
        }
    }

    fn stat(&self) -> rustix::io::Result<Stat> {
        statat(self.directory, self.name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

impl Lock {
    /// For people to read, if there is room. Writing beyond `RLIMIT_FSIZE` would end the process (`SIGXFSZ`).
    fn write_pid(&self) {
        let text = format!("{}\n", self.pid);
        if ftruncate(&self.file, 0).is_ok()
            && getrlimit(Resource::Fsize).current.is_none_or(|most| most >= LONGEST_TEXT)
        {
            // Half of a pid would be another pid.
            if pwrite(&self.file, text.as_bytes(), 0) != Ok(text.len()) {
                let _ = ftruncate(&self.file, 0);
            }
        }
    }
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

/// Why the file cannot be our lock, as far as we can tell before we lock it.
///
/// We trust the owner of the directory, who could rename the file away in any case.
fn fault_of(stat: &Stat, directory: &Stat) -> Option<Fault> {
    match FileKind::of_mode(stat.st_mode) {
        FileKind::Regular if stat.st_uid != geteuid().as_raw() && stat.st_uid != directory.st_uid => {
            Some(Fault::Owner(stat.st_uid))
        }
        FileKind::Regular => None,
        kind => Some(Fault::Kind(kind)),
    }
}

/// Whether this is a lock file that root has left in our own directory, so that we may remove it.
///
/// Root may hold it; we cannot find out. If the lock guards a socket, the socket itself shows whether a server has it.
fn is_left_by_root(stat: &Stat, directory: &Stat) -> bool {
    FileKind::of_mode(stat.st_mode) == FileKind::Regular
        && stat.st_uid == 0
        && stat.st_nlink == 1
        && u64::try_from(stat.st_size).is_ok_and(|size| size <= LONGEST_TEXT)
        && directory.st_uid == geteuid().as_raw()
}

/// The pid in a lock file that another process holds. The holder writes it after locking, so it may be missing. It is
/// for people to read; no decision depends on it.
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
        let here = fstat(&directory).unwrap();
        assert!(place.lock(place.open(&here).unwrap().unwrap(), ALONE).unwrap().is_some());

        let opened = place.open(&here).unwrap().unwrap();
        fs::write(dir.path().join("b"), "").unwrap();
        fs::rename(dir.path().join("b"), dir.path().join("a")).unwrap();
        assert!(place.lock(opened, ALONE).unwrap().is_none());

        let opened = place.open(&here).unwrap().unwrap();
        fs::remove_file(dir.path().join("a")).unwrap();
        assert!(place.lock(opened, ALONE).unwrap().is_none());
        drop(Lock::take(&directory, "a").unwrap());
    }
}
