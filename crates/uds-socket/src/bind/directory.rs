//! The directory a socket is in, held open, and what is found in it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use lock_file::{FileKind, Lock};
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, Stat, chmodat, chownat, fchmod, fstat, linkat, open, openat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::FileOptions;
use super::probe::{Liveness, probe_inode};
use super::publish::Fresh;
use crate::address::Address;
use crate::denied::denied;
use crate::error::{Error, Result};
use crate::path::{SocketPath, descriptor_path};

/// Writable by group or others.
const SHARED: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Which file it is, whatever its name. Comparing is meaningful only while one of the two is kept from being freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl From<&Stat> for Identity {
    fn from(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// The directory of a socket, held open so that every step happens in the same one, wherever its path leads later.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    path: SocketPath,
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Directory {
    /// Opens the directory of `path`, unless others may rename files in it.
    pub(crate) fn open(path: SocketPath) -> Result<Self> {
        let directory = path.directory();
        let fd =
            open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
                match errno {
                    Errno::NOENT | Errno::NOTDIR => {
                        Error::NoDirectory { directory: directory.to_owned(), source: errno.into() }
                    }
                    Errno::ACCESS => {
                        denied(path.as_path()).unwrap_or_else(|| failed(&path, "open the directory of", errno))
                    }
                    errno => failed(&path, "open the directory of", errno),
                }
            })?;
        let mode = fstat(&fd).map_err(|errno| failed(&path, "look at the directory of", errno))?.st_mode;
        if mode & SHARED != 0 && mode & STICKY == 0 {
            return Err(Error::SharedDirectory { directory: directory.to_owned(), mode: mode & 0o7777 });
        }
        Ok(Self { fd, path })
    }

    pub(crate) fn path(&self) -> &SocketPath {
        &self.path
    }

    /// Takes the lock beside the socket, or says who has it: whoever holds it may replace and remove the name.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let name = self.path.lock_name();
        Lock::take(self, &name).map_err(|error| {
            let lock = self.path.directory().join(&name);
            match error {
                lock_file::Error::Held { pid } => Error::Locked { path: self.path.as_path().to_owned(), lock, pid },
                lock_file::Error::Foreign { fault } => Error::ForeignLock { lock, fault },
                lock_file::Error::Contended { attempts } => self.contended(attempts),
                error => self.failed("take the lock beside", error),
            }
        })
    }

    /// Refuses a name that is taken by something else than a socket, before anything is created beside it.
    pub(crate) fn refuse_other_kinds(&self) -> Result<()> {
        match self.stat_of(self.path.name()).map_err(|errno| self.failed("look at", errno))? {
            Some(stat) => self.expect_socket(self.path.name(), &stat),
            None => Ok(()),
        }
    }

    /// What a starter that crashed may have left under the temporary name goes; what is alive or no socket stays.
    pub(crate) fn sweep(&self) -> Result<()> {
        let name = self.path.temporary_name();
        if let Some(remains) = self.examine(&name)? {
            self.remove_remains(&name, &remains)?;
        }
        Ok(())
    }

    /// Refuses a name that somebody serves.
    pub(crate) fn stale_or_free(&self) -> Result<()> {
        self.examine(self.path.name()).map(|_| ())
    }

    /// Binds `socket` under the temporary name and makes its file what it shall be.
    pub(crate) fn bind(self, socket: BorrowedFd<'_>, options: FileOptions) -> Result<Fresh> {
        let name = self.path.temporary_name();
        // The file begins with no more than it shall have, and gets its exact mode below, whatever the umask.
        let begin = options.mode().to_system() & Mode::RWXU;
        fchmod(socket, begin).map_err(|errno| self.failed("prepare the mode of", errno))?;
        let address =
            self.path.address_of(&name, self.as_fd()).map_err(|errno| self.failed("form the address of", errno))?;
        rustix::net::bind(socket, &address).map_err(|errno| self.failed("bind", errno))?;

        // Looked at by name first, which takes no descriptor: whatever fails from here on, what was bound is taken away again.
        let failed = |errno| self.failed("find the bound file of", errno);
        let stat = statat(&self, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        self.expect_socket(&name, &stat)?;
        if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_nlink != 1 {
            return Err(self.contended(1));
        }
        let identity = Identity::from(&stat);
        let fresh = Fresh::new(self, identity);
        let directory = fresh.directory();

        // All by descriptor: in somebody else's directory the name may lead elsewhere the next moment.
        let failed = |errno| directory.failed("open the bound file of", errno);
        let file = openat(directory, &name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let file = file.map_err(failed)?;
        if Identity::from(&fstat(&file).map_err(failed)?) != identity {
            return Err(directory.contended(1));
        }
        if options.owner().is_some() || options.group().is_some() {
            chownat(&file, c"", options.owner(), options.group(), AtFlags::EMPTY_PATH)
                .map_err(|errno| directory.failed("set the owner of", errno))?;
        }
        chmodat(CWD, descriptor_path(file.as_fd()), options.mode().to_system(), AtFlags::empty())
            .map_err(|errno| directory.failed("set the mode of", errno))?;
        Ok(fresh)
    }

    /// The stale socket of that name, kept from being freed; `None` where there is nothing.
    pub(crate) fn examine(&self, name: &OsStr) -> Result<Option<Remains>> {
        let Some(found) = self.find(name)? else {
            return Ok(None);
        };
        match found.liveness().map_err(|errno| self.failed("find out who serves", errno))? {
            Liveness::Stale => Ok(Some(found)),
            liveness => Err(Error::InUse { path: self.full_path(name), liveness }),
        }
    }

    /// The socket of that name, whoever serves it.
    pub(crate) fn find(&self, name: &OsStr) -> Result<Option<Remains>> {
        let file = match openat(self, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.failed("look at", errno)),
        };
        let stat = fstat(&file).map_err(|errno| self.failed("look at", errno))?;
        self.expect_socket(name, &stat)?;
        Ok(Some(Remains { identity: Identity::from(&stat), file }))
    }

    fn remove_remains(&self, name: &OsStr, remains: &Remains) -> Result<()> {
        if self.identity_of(name).map_err(|errno| self.failed("look at", errno))? != Some(remains.identity) {
            return Err(self.contended(1));
        }
        unlinkat(self, name, AtFlags::empty()).map_err(|errno| self.failed("remove the stale socket beside", errno))
    }

    fn expect_socket(&self, name: &OsStr, stat: &Stat) -> Result<()> {
        match FileKind::of_mode(stat.st_mode) {
            FileKind::Socket => Ok(()),
            kind => Err(Error::NotASocket { path: self.full_path(name), kind }),
        }
    }

    pub(crate) fn identity_of(&self, name: &OsStr) -> rustix::io::Result<Option<Identity>> {
        Ok(self.stat_of(name)?.as_ref().map(Identity::from))
    }

    fn stat_of(&self, name: &OsStr) -> rustix::io::Result<Option<Stat>> {
        match statat(self, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn full_path(&self, name: &OsStr) -> PathBuf {
        if name == self.path.name() { self.path.as_path().to_owned() } else { self.path.directory().join(name) }
    }

    /// Gives `from` the name `to` unless that is taken.
    pub(crate) fn rename_if_free(&self, from: &OsStr, to: &OsStr) -> rustix::io::Result<()> {
        match renameat_with(self, from, self, to, RenameFlags::NOREPLACE) {
            // The file system cannot; a link cannot replace anything either.
            Err(Errno::INVAL | Errno::NOSYS) => self.link_if_free(from, to),
            result => result,
        }
    }

    pub(crate) fn link_if_free(&self, from: &OsStr, to: &OsStr) -> rustix::io::Result<()> {
        linkat(self, from, self, to, AtFlags::empty())?;
        unlinkat(self, from, AtFlags::empty())
    }

    pub(crate) fn failed(&self, doing: &'static str, source: impl Into<io::Error>) -> Error {
        failed(&self.path, doing, source)
    }

    pub(crate) fn contended(&self, attempts: u32) -> Error {
        Error::Contended { path: self.path.as_path().to_owned(), attempts }
    }
}

fn failed(path: &SocketPath, doing: &'static str, source: impl Into<io::Error>) -> Error {
    Error::Bind { address: Address::Path(path.as_path().to_owned()), doing, source: source.into() }
}

/// A socket that was found, stale or not: its inode is held, so that the number cannot come to mean a newer one.
#[derive(Debug)]
pub(crate) struct Remains {
    file: OwnedFd,
    identity: Identity,
}

impl Remains {
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// What is known of it now.
    pub(crate) fn liveness(&self) -> rustix::io::Result<Liveness> {
        probe_inode(self.file.as_fd())
    }
}
