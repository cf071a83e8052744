//! The directory of a socket, held open, and the files in it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use lock_file::FileKind;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, chmodat, fstat, open, statat, unlinkat};
use rustix::io::Errno;
use socket_file::{Filesystem, Found, GRACE, Identity, Liveness, Owner, Removal, SocketFile, Verdict, is_backing_side};

use crate::address::Address;
use crate::denied::denied;
use crate::error::BindError;
use crate::path::{SocketPath, descriptor_path};

/// Writable by group or others.
const SHARED: u32 = 0o022;
const STICKY: u32 = 0o1000;
/// The name that [`BindError::ForeignFilesystem`] shows for a directory that a mount shows elsewhere.
const BACKING_SIDE: &str = "the backing side of an overlay or FUSE mount";
/// The number of attempts when the name's file changes while it is being bound.
pub(crate) const ATTEMPTS: u32 = 16;

/// The file that `stat` describes.
pub(crate) fn identity(stat: &Stat) -> Identity {
    Identity { device: stat.st_dev, inode: stat.st_ino }
}

/// Which properties of the directory the caller accepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Exceptions {
    /// Other users may write to it.
    pub(crate) shared: bool,
    /// Its filesystem may hide servers from this kernel.
    pub(crate) any_filesystem: bool,
}

/// The directory of a socket, held open so that every step uses the same directory, wherever its path leads later.
#[derive(Debug)]
pub(crate) struct Directory {
    inner: socket_file::Directory,
    path: SocketPath,
    exceptions: Exceptions,
    /// The user who may rename files in it.
    owner: u32,
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl Directory {
    /// Opens the directory of `path`, unless other users may rename files in it.
    pub(crate) fn open(path: SocketPath, exceptions: Exceptions) -> Result<Self, BindError> {
        let directory = path.directory();
        let fd =
            open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
                match errno {
                    Errno::NOENT | Errno::NOTDIR => {
                        BindError::NoDirectory { directory: directory.to_owned(), source: errno.into() }
                    }
                    Errno::ACCESS => denied(path.as_path())
                        .map_or_else(|| failed(&path, "open the directory of", errno), BindError::from),
                    errno => failed(&path, "open the directory of", errno),
                }
            })?;
        let stat = fstat(&fd).map_err(|errno| failed(&path, "examine the directory of", errno))?;
        let mode = stat.st_mode;
        if mode & SHARED != 0 && mode & STICKY == 0 && !exceptions.shared {
            return Err(BindError::SharedDirectory { directory: directory.to_owned(), mode: mode & 0o7777 });
        }
        let inner = socket_file::Directory::new(fd, directory.to_owned());
        Ok(Self { inner, path, exceptions, owner: stat.st_uid })
    }

    pub(crate) fn path(&self) -> &SocketPath {
        &self.path
    }

    /// Rejects a name that belongs to a file other than a socket, before anything is created beside it.
    pub(crate) fn refuse_other_kinds(&self) -> Result<(), BindError> {
        match self.stat_of(self.path.name()).map_err(|errno| self.failed("examine", errno))? {
            Some(stat) => self.expect_socket(self.path.name(), &stat),
            None => Ok(()),
        }
    }

    /// Removes a stale socket with the name, and stale sockets that a crash has left aside. A live socket and any other
    /// file stay.
    pub(crate) fn clear(&self) -> Result<(), BindError> {
        let asides = [self.path.aside_name(), self.path.second_aside_name()];
        for _ in 0..ATTEMPTS {
            let are_free = [self.vacate(&asides[0])?, self.vacate(&asides[1])?];
            let free = asides.iter().zip(are_free).find_map(|(aside, is_free)| is_free.then_some(aside));
            match (self.examine()?, free) {
                (None, _) if are_free == [true; 2] => return Ok(()),
                // The socket aside may be live. It gets the name in the next round, now that the name is free.
                (None, _) => {}
                (Some(stale), Some(aside)) => self.remove_stale(&stale, aside)?,
                (Some(_), None) => break,
            }
        }
        Err(self.contended(ATTEMPTS))
    }

    /// After a crash between moving a socket aside and removing it, the socket is still there. It gets its name back,
    /// and is examined under that name like any other: it may turn out to be live, or must not be removed here. If
    /// another socket has the name, the one aside is removed from there if it is stale. Returns false if it stays.
    fn vacate(&self, aside: &OsStr) -> Result<bool, BindError> {
        let Some(left) = self.find(aside)? else { return Ok(true) };
        match self.inner.rename_if_free(aside, self.path.name()) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(self.failed("give back", error)),
        }
        // If moving it back takes two steps, a crash may have happened between them.
        let is_second_name = self.identity_of(self.path.name()) == Ok(Some(left.identity()));
        if !is_second_name {
            match self.expect_stale(&left, &self.path.directory().join(aside)) {
                Ok(()) => {}
                Err(BindError::InUse { .. } | BindError::ForeignFilesystem { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        // Only the holder of the lock uses this name, so it is still the file that was examined.
        unlinkat(self, aside, AtFlags::empty())
            .map_err(|errno| self.failed("remove what a crash has left of", errno))?;
        Ok(true)
    }

    /// Moves a stale socket aside, to a name that only the holder of the lock uses, examines it again, and removes it;
    /// or moves it back if it is another file or no longer stale. The renaming waits for a `bind` in progress, so that
    /// its socket is known by then.
    pub(crate) fn remove_stale(&self, stale: &SocketFile, aside: &OsStr) -> Result<(), BindError> {
        let is_unbound = |path: &Path| stale.probe(path).is_ok_and(|liveness| liveness.is_unbound());
        match self.inner.remove(self.path.name(), aside, stale.identity(), is_unbound) {
            Ok(Removal::Removed | Removal::Missing | Removal::Replaced | Removal::Kept) => Ok(()),
            Ok(Removal::Displaced(_)) => Err(self.contended(1)),
            // `rename(2)` returns this for a name that is a mount point.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => {
                Err(BindError::MountPoint { path: self.path.as_path().to_owned() })
            }
            Err(error) => Err(self.failed("move the stale socket away from", error)),
        }
    }

    /// Removes the name if it belongs to this file.
    pub(crate) fn remove(&self, file: Identity) -> io::Result<Removal> {
        self.inner.remove(self.path.name(), &self.path.aside_name(), file, |_| true)
    }

    /// Gives the name to the socket that was bound aside, unless the name is taken.
    pub(crate) fn publish(&self) -> io::Result<()> {
        self.inner.rename_if_free(&self.path.aside_name(), self.path.name())
    }

    /// The stale socket with the name, kept from being freed; `None` if there is no file.
    fn examine(&self) -> Result<Option<SocketFile>, BindError> {
        let Some(found) = self.find(self.path.name())? else { return Ok(None) };
        self.expect_stale(&found, self.path.as_path())?;
        Ok(Some(found))
    }

    /// Returns an error unless no server has this socket, as far as this kernel and the filesystem can tell.
    fn expect_stale(&self, found: &SocketFile, path: &Path) -> Result<(), BindError> {
        let path = path.to_owned();
        let address = || Address::Path(self.path.as_path().to_owned());
        let liveness = found.probe(&path).map_err(|source| BindError::Examine { address: address(), source })?;
        if !liveness.is_unbound() {
            return Err(BindError::InUse { path, liveness });
        }
        let hides_servers = self.hides_servers();
        if let (Some(filesystem), false) = (hides_servers, self.exceptions.any_filesystem) {
            return Err(BindError::ForeignFilesystem { path, filesystem });
        }
        if liveness.verdict != Verdict::Stale || (hides_servers.is_some() && found.facts().age() < GRACE) {
            return Err(BindError::InUse { path, liveness: Liveness { verdict: Verdict::Unknown, ..liveness } });
        }
        if !self.exceptions.any_filesystem && is_backing_side(self.path.directory()) {
            return Err(BindError::ForeignFilesystem { path, filesystem: BACKING_SIDE });
        }
        Ok(())
    }

    /// The name of the filesystem, if it may hide a server from this kernel.
    pub(crate) fn hides_servers(&self) -> Option<&'static str> {
        Filesystem::of_file(self).hides_servers()
    }

    /// Whether files on it may appear with other owners than they were created with.
    pub(crate) fn may_change_owners(&self) -> bool {
        matches!(Filesystem::of_file(self), Filesystem::Foreign(_) | Filesystem::Stacked(_))
    }

    /// Whether the name leads to this file, by the path as users specify it. An error if we cannot find out.
    pub(crate) fn leads_to(&self, identity: Identity) -> rustix::io::Result<Option<bool>> {
        match statat(CWD, self.path.absolute(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(self::identity(&stat) == identity)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Sets the mode of a file in this directory that is open with `O_PATH`, which no system call before Linux 6.6
    /// does.
    pub(crate) fn set_mode(&self, file: BorrowedFd<'_>, mode: Mode) -> rustix::io::Result<()> {
        match chmodat(CWD, descriptor_path(file), mode, AtFlags::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            result => return result,
        }
        // `/proc` is not mounted. Users who may rename files here could make a name lead elsewhere.
        let identity = identity(&fstat(file)?);
        if self.exceptions.shared || !Owner::Trusted.admits(self.owner) {
            return Err(Errno::NOENT);
        }
        match self.identity_of(self.path.name())? {
            Some(named) if named == identity => chmodat(self, self.path.name(), mode, AtFlags::empty()),
            _ => Err(Errno::NOENT),
        }
    }

    /// The socket with that name, whether or not it has a server.
    pub(crate) fn find(&self, name: &OsStr) -> Result<Option<SocketFile>, BindError> {
        match self.inner.find(name).map_err(|error| self.failed("examine", error))? {
            None => Ok(None),
            Some(Found::Socket(socket)) => Ok(Some(socket)),
            Some(Found::Other(kind)) => Err(BindError::NotASocket { path: self.full_path(name), kind }),
        }
    }

    pub(crate) fn expect_socket(&self, name: &OsStr, stat: &Stat) -> Result<(), BindError> {
        match FileKind::of_mode(stat.st_mode) {
            FileKind::Socket => Ok(()),
            kind => Err(BindError::NotASocket { path: self.full_path(name), kind }),
        }
    }

    pub(crate) fn identity_of(&self, name: &OsStr) -> rustix::io::Result<Option<Identity>> {
        Ok(self.stat_of(name)?.as_ref().map(identity))
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

    pub(crate) fn failed(&self, doing: &'static str, source: impl Into<io::Error>) -> BindError {
        failed(&self.path, doing, source)
    }

    pub(crate) fn contended(&self, attempts: u32) -> BindError {
        BindError::Contended { path: self.path.as_path().to_owned(), attempts }
    }
}

fn failed(path: &SocketPath, doing: &'static str, source: impl Into<io::Error>) -> BindError {
    BindError::Bind { address: Address::Path(path.as_path().to_owned()), doing, source: source.into() }
}
