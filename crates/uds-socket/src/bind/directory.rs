//! The directory a socket is in, held open, and what is found in it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use lock_file::FileKind;
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, Stat, chmodat, fstat, linkat, open, openat, renameat, renameat_with,
    statat, unlinkat,
};
use rustix::io::Errno;

use super::filesystem;
use crate::address::Address;
use crate::denied::denied;
use crate::error::{Error, Result};
use crate::liveness::Liveness;
use crate::path::{SocketPath, descriptor_path};
use crate::probe::{may_be_starting, probe_inode};

/// Writable by group or others.
const SHARED: u32 = 0o022;
const STICKY: u32 = 0o1000;
/// How often to start again when the name changes hands while it is being taken.
pub(crate) const ATTEMPTS: u32 = 16;

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

/// What the caller says is no obstacle in this directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Exceptions {
    /// Others may write to it.
    pub(crate) shared: bool,
    /// Its filesystem may hide servers from this kernel.
    pub(crate) any_filesystem: bool,
}

/// The directory of a socket, held open so that every step happens in the same one, wherever its path leads later.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    path: SocketPath,
    exceptions: Exceptions,
    /// Who may rename files in it.
    owner: u32,
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Directory {
    /// Opens the directory of `path`, unless others may rename files in it.
    pub(crate) fn open(path: SocketPath, exceptions: Exceptions) -> Result<Self> {
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
        let stat = fstat(&fd).map_err(|errno| failed(&path, "look at the directory of", errno))?;
        let mode = stat.st_mode;
        if mode & SHARED != 0 && mode & STICKY == 0 && !exceptions.shared {
            return Err(Error::SharedDirectory { directory: directory.to_owned(), mode: mode & 0o7777 });
        }
        Ok(Self { fd, path, exceptions, owner: stat.st_uid })
    }

    pub(crate) fn path(&self) -> &SocketPath {
        &self.path
    }

    /// Refuses a name that is taken by something else than a socket, before anything is created beside it.
    pub(crate) fn refuse_other_kinds(&self) -> Result<()> {
        match self.stat_of(self.path.name()).map_err(|errno| self.failed("look at", errno))? {
            Some(stat) => self.expect_socket(self.path.name(), &stat),
            None => Ok(()),
        }
    }

    /// Removes a stale socket that has the name, and one that a crash has left aside. What is alive or no socket stays.
    pub(crate) fn clear(&self) -> Result<()> {
        self.clear_aside()?;
        for _ in 0..ATTEMPTS {
            match self.examine(self.path.name())? {
                None => return Ok(()),
                Some(stale) => self.remove_stale(&stale)?,
            }
        }
        Err(self.contended(ATTEMPTS))
    }

    /// A crash between moving a socket aside and removing it leaves it there, and it may even turn out to be alive.
    fn clear_aside(&self) -> Result<()> {
        let aside = self.path.aside_name();
        match self.examine(&aside) {
            Ok(None) => Ok(()),
            Ok(Some(stale)) => {
                if self.identity_of(&aside).map_err(|errno| self.failed("look at", errno))? != Some(stale.identity) {
                    return Err(self.contended(1));
                }
                unlinkat(self, &aside, AtFlags::empty())
                    .map_err(|errno| self.failed("remove the stale socket beside", errno))
            }
            Err(error @ Error::InUse { .. }) => {
                // Then it is the name's; if that is free, it gets it back.
                let _ = self.rename_if_free(&aside, self.path.name());
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Moves a stale socket aside, where only the holder of the lock works, examines it again, and removes it; or puts it
    /// back if it is another file or no longer stale. Without the detour, another file could be removed that has come to
    /// have the name.
    pub(crate) fn remove_stale(&self, stale: &Remains) -> Result<()> {
        let (name, aside) = (self.path.name(), self.path.aside_name());
        match self.move_aside() {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(()),
            // `rename(2)` says so of a name that something is mounted over.
            Err(Errno::BUSY) => return Err(Error::MountPoint { path: self.path.as_path().to_owned() }),
            Err(errno) => return Err(self.failed("move the stale socket away from", errno)),
        }
        // The renaming waited for a `bind` in progress, so that its socket is known by now.
        let is_it = matches!(self.identity_of(&aside), Ok(Some(moved)) if moved == stale.identity);
        if is_it
            && matches!(stale.liveness(&self.full_path(&aside)), Ok(Liveness::Stale))
            && unlinkat(self, &aside, AtFlags::empty()).is_ok()
        {
            return Ok(());
        }
        self.rename_if_free(&aside, name).map_err(|errno| self.failed("give back", errno))
    }

    /// Gives what has the name the one aside.
    pub(crate) fn move_aside(&self) -> rustix::io::Result<()> {
        let (name, aside) = (self.path.name(), self.path.aside_name());
        match renameat_with(self, name, self, &aside, RenameFlags::NOREPLACE) {
            // The file system cannot. Nothing is there that this could replace: the name aside was cleared under the lock.
            Err(Errno::INVAL | Errno::NOSYS) => renameat(self, name, self, &aside),
            result => result,
        }
    }

    /// The stale socket of that name, kept from being freed; `None` where there is nothing.
    pub(crate) fn examine(&self, name: &OsStr) -> Result<Option<Remains>> {
        let Some(found) = self.find(name)? else {
            return Ok(None);
        };
        let path = self.full_path(name);
        match found.liveness(&path).map_err(|errno| self.failed("find out who serves", errno))? {
            Liveness::Stale => {}
            liveness => return Err(Error::InUse { path, liveness }),
        }
        let hides_servers = filesystem::hides_servers(&self.fd);
        if let (Some(filesystem), false) = (hides_servers, self.exceptions.any_filesystem) {
            return Err(Error::ForeignFilesystem { path, filesystem });
        }
        if may_be_starting(&found.stat, hides_servers.is_some()) {
            return Err(Error::InUse { path, liveness: Liveness::Young });
        }
        Ok(Some(found))
    }

    /// Whether the name leads, by the path as users give it, to this file. An error if that cannot be found out.
    pub(crate) fn leads_to(&self, identity: Identity) -> rustix::io::Result<Option<bool>> {
        match statat(CWD, self.path.absolute(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Identity::from(&stat) == identity)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Sets the mode of a file in this directory that is open with `O_PATH`, which no system call before Linux 6.6 does.
    pub(crate) fn set_mode(&self, file: BorrowedFd<'_>, mode: Mode) -> rustix::io::Result<()> {
        match chmodat(CWD, descriptor_path(file), mode, AtFlags::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            result => return result,
        }
        // `/proc` is not mounted. A name could be made to lead elsewhere by those who may rename files here.
        let own = rustix::process::geteuid().as_raw();
        let identity = Identity::from(&fstat(file)?);
        if self.exceptions.shared || (self.owner != own && self.owner != 0) {
            return Err(Errno::NOENT);
        }
        match self.identity_of(self.path.name())? {
            Some(named) if named == identity => chmodat(self, self.path.name(), mode, AtFlags::empty()),
            _ => Err(Errno::NOENT),
        }
    }

    /// The socket of that name, whether it is served or not.
    pub(crate) fn find(&self, name: &OsStr) -> Result<Option<Remains>> {
        let file = match openat(self, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.failed("look at", errno)),
        };
        let stat = fstat(&file).map_err(|errno| self.failed("look at", errno))?;
        self.expect_socket(name, &stat)?;
        Ok(Some(Remains { identity: Identity::from(&stat), stat, file }))
    }

    pub(crate) fn expect_socket(&self, name: &OsStr, stat: &Stat) -> Result<()> {
        match FileKind::of_mode(stat.st_mode) {
            FileKind::Socket => Ok(()),
            kind => Err(Error::NotASocket { path: self.full_path(name), kind }),
        }
    }

    pub(crate) fn identity_of(&self, name: &OsStr) -> rustix::io::Result<Option<Identity>> {
        Ok(self.stat_of(name)?.as_ref().map(Identity::from))
    }

    pub(crate) fn stat_of(&self, name: &OsStr) -> rustix::io::Result<Option<Stat>> {
        match statat(self, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    pub(crate) fn full_path(&self, name: &OsStr) -> PathBuf {
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
    stat: Stat,
}

impl Remains {
    /// What is known of it now. `path` is one that leads to it, for want of `/proc`.
    pub(crate) fn liveness(&self, path: &std::path::Path) -> rustix::io::Result<Liveness> {
        probe_inode(self.file.as_fd(), path)
    }
}
