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

/// How often to start again when the file is replaced between opening and locking it.
const ATTEMPTS: u32 = 8;

/// NONBLOCK: a named pipe must not make us wait for its other end.
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

const ALONE: FlockOperation = FlockOperation::NonBlockingLockExclusive;
const SHARED: FlockOperation = FlockOperation::NonBlockingLockShared;

const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The longest text that a lock file has: a pid and a newline.
const LONGEST_TEXT: u64 = 16;

/// A lock that is held; dropping it releases the lock and leaves the file.
///
/// [`remove`](Self::remove) ends it without leaving the file.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Lock {
    file: OwnedFd,
    pid: u32,
}

impl Lock {
    /// Takes the lock `name` in `directory`, or says who has it. Does not wait.
    ///
    /// The file is created if it is missing, and made private. It belongs to this user, or to the directory's owner: root
    /// gives a file that it creates in a user's own directory to that user, who could not lock it otherwise. A lock file of
    /// root's that such a user cannot open is replaced.
    ///
    /// This process's pid is written to it if there is room. Nothing depends on that: a full disk and a limit on the size
    /// of files (`RLIMIT_FSIZE`) are no obstacles.
    ///
    /// `directory` may be open for its path only (`O_PATH`).
    ///
    /// # Errors
    ///
    /// [`Error::Held`]; [`Error::Examined`], which passes soon; [`Error::Foreign`] if something else has that name; [`Error::Contended`] if it is replaced all the
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

    /// Examines a lock that some other program keeps: as long as this is held, no process takes it. `None` if there is no such
    /// file.
    ///
    /// Several processes may examine a lock at a time. One that wants to take it meanwhile is told [`Error::Examined`].
    ///
    /// Nothing is made, written or changed, and the file may belong to any user, if it can be read.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take); it is tried once.
    pub fn examine(directory: impl AsFd, name: impl AsRef<Path>) -> Result<Option<Self>, Error> {
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
        match place.lock(file, SHARED)? {
            Some((lock, _)) => Ok(Some(lock)),
            None => Err(Error::Contended { attempts: 1 }),
        }
    }

    /// Whether the file that is locked still has this name: only then does the lock exclude others.
    ///
    /// # Errors
    ///
    /// What the operating system said when it was asked.
    pub fn has_name(&self, directory: impl AsFd, name: impl AsRef<Path>) -> io::Result<bool> {
        let place = Place { directory: directory.as_fd(), name: name.as_ref() };
        let held = fstat(&self.file)?;
        match place.stat() {
            Ok(named) => Ok(is_same(&named, &held)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes the file, then releases the lock. `Ok(false)` if another file has the name, which stays.
    ///
    /// Removing it while it is locked is safe: a process that opened the file before and locks it afterwards compares it
    /// with the one that has the name (see the front page), finds none or another one, and starts again. A copy of this
    /// process made by `fork` removes nothing.
    ///
    /// # Errors
    ///
    /// What kept the file from being removed. The lock is released all the same. Of a lock that was
    /// [examined](Self::examine), [`WouldBlock`](io::ErrorKind::WouldBlock) if another process has or examines it now.
    pub fn remove(self, directory: impl AsFd, name: impl AsRef<Path>) -> io::Result<bool> {
        if self.pid != std::process::id() {
            return Ok(false);
        }
        // Two processes that only examine it must not both remove it: the second one might find a new file. Of a lock that is
        // held alone already, this changes nothing.
        flock(&self.file, ALONE)?;
        if !self.has_name(&directory, &name)? {
            return Ok(false);
        }
        unlinkat(directory, name.as_ref(), AtFlags::empty())?;
        Ok(true)
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
            // Best effort: root of a user namespace cannot give files to an owner that is not mapped there (EINVAL), nor root
            // without CAP_CHOWN to anyone (EPERM). The lock holds all the same.
            let _ = fchown(&lock.file, Some(uid), Some(gid));
        }
        // The umask may have taken bits away, and another process may have added some: a reader could hold the lock.
        fchmod(&lock.file, PRIVATE).map_err(failed)?;
        lock.write_pid();
        Ok(Some(lock))
    }

    /// `None` if a file that was in the way has been removed.
    fn open(&self, directory: &Stat) -> Result<Option<OwnedFd>, Error> {
        match openat(self.directory, self.name, OFlags::RDWR | OFlags::CREATE | SAFELY, PRIVATE) {
            Ok(file) => Ok(Some(file)),
            Err(errno) => {
                // What is in the way says more than the error; a symbolic link, for one, gives ELOOP.
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

    /// Locks the open file; `None` if it is not, or no longer, the one of this name. Only what is looked at under the lock
    /// counts.
    fn lock(&self, file: OwnedFd, how: FlockOperation) -> Result<Option<(Lock, Stat)>, Error> {
        let taken = flock(&file, how);
        let lock = Lock { file, pid: std::process::id() };
        match taken {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) if how == ALONE && flock(&lock.file, SHARED).is_ok() => {
                // No process holds it, or not any more. Those who examine it come and go.
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
    /// For people to read, if there is room. To write beyond `RLIMIT_FSIZE` would be the end of the process (`SIGXFSZ`).
    fn write_pid(&self) {
        let text = format!("{}\n", self.pid);
        if ftruncate(&self.file, 0).is_ok()
            && getrlimit(Resource::Fsize).current.is_none_or(|most| most >= LONGEST_TEXT)
        {
            // Half a pid would be another one.
            if pwrite(&self.file, text.as_bytes(), 0) != Ok(text.len()) {
                let _ = ftruncate(&self.file, 0);
            }
        }
    }
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

/// What keeps the file from being our lock, as far as it can be said before it is locked.
///
/// The directory's owner is trusted with it: that user can rename the file away as well.
fn fault_of(stat: &Stat, directory: &Stat) -> Option<Fault> {
    match FileKind::of_mode(stat.st_mode) {
        FileKind::Regular if stat.st_uid != geteuid().as_raw() && stat.st_uid != directory.st_uid => {
            Some(Fault::Owner(stat.st_uid))
        }
        FileKind::Regular => None,
        kind => Some(Fault::Kind(kind)),
    }
}

/// Whether it is a lock file that root has left in our own directory, in which we may remove it.
///
/// Root may hold it, and that cannot be found out. Where a lock guards a socket, the socket itself shows that it is served.
fn is_left_by_root(stat: &Stat, directory: &Stat) -> bool {
    FileKind::of_mode(stat.st_mode) == FileKind::Regular
        && stat.st_uid == 0
        && stat.st_nlink == 1
        && u64::try_from(stat.st_size).is_ok_and(|size| size <= LONGEST_TEXT)
        && directory.st_uid == geteuid().as_raw()
}

/// The pid in a lock file that another process holds. It is written right after locking, so it may be missing; it is
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
