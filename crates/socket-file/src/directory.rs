//! A directory that is held open, and what has a name in it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use lock_file::FileKind;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with, statat, unlinkat};
use rustix::io::Errno;

use crate::facts::{Facts, Identity};
use crate::file::SocketFile;
use crate::names;

/// A directory, held open: whatever happens to its path, what is done is done in this one.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

/// What has a name.
#[derive(Debug)]
pub enum Found {
    /// A socket, held open.
    Socket(SocketFile),
    /// Something else.
    Other(FileKind),
}

impl Found {
    /// What has this path. A symbolic link at its end is not followed.
    ///
    /// # Errors
    ///
    /// What the operating system says, if nothing has the path too.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_in(CWD, path)
    }

    fn open_in(directory: BorrowedFd<'_>, path: &Path) -> io::Result<Self> {
        let file = openat(directory, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let file = File::from(file);
        let metadata = file.metadata()?;
        Ok(match FileKind::of_mode(metadata.mode()) {
            FileKind::Socket => Self::Socket(SocketFile::new(file, Facts::of(&metadata))),
            kind => Self::Other(kind),
        })
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Directory {
    /// A directory that is open, be it for its path only (`O_PATH`), and its path.
    pub fn new(fd: OwnedFd, path: PathBuf) -> Self {
        Self { fd, path }
    }

    /// The path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of what has this name.
    pub fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// What has this name, `None` if nothing has. A symbolic link is not followed.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn find(&self, name: &OsStr) -> io::Result<Option<Found>> {
        match Found::open_in(self.as_fd(), Path::new(name)) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The socket of this name, `None` if there is none, or something else.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn find_socket(&self, name: &OsStr) -> io::Result<Option<SocketFile>> {
        Ok(match self.find(name)? {
            Some(Found::Socket(socket)) => Some(socket),
            Some(Found::Other(_)) | None => None,
        })
    }

    /// Which file has this name.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn identity_of(&self, name: &OsStr) -> io::Result<Option<Identity>> {
        match statat(self, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Identity { device: stat.st_dev, inode: stat.st_ino })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives `from` the name `to` unless that is taken.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if it is, [`NotFound`](io::ErrorKind::NotFound) if nothing is named
    /// `from`, and what else the operating system says.
    pub fn rename_if_free(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match renameat_with(self, from, self, to, RenameFlags::NOREPLACE) {
            // A link cannot replace anything either.
            Err(errno) if self.lacks_flags(errno) => self.link_if_free(from, to),
            result => Ok(result?),
        }
    }

    /// Moves `from` aside, where no other process has anything of that name.
    pub(crate) fn move_aside(&self, from: &OsStr, aside: &OsStr) -> io::Result<()> {
        match renameat_with(self, from, self, aside, RenameFlags::NOREPLACE) {
            // Nothing is there that this could replace.
            Err(errno) if self.lacks_flags(errno) => Ok(renameat(self, from, self, aside)?),
            result => Ok(result?),
        }
    }

    /// Whether `renameat2` failed in this way because the filesystem, the kernel or a sandbox lacks its flags.
    fn lacks_flags(&self, errno: Errno) -> bool {
        match errno {
            Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => true,
            // Of a name that nothing has, only a sandbox says so.
            Errno::PERM => {
                let name = names::spare_name();
                renameat_with(self, &name, self, &name, RenameFlags::NOREPLACE) == Err(Errno::PERM)
            }
            _ => false,
        }
    }

    fn link_if_free(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        linkat(self, from, self, to, AtFlags::empty())?;
        Ok(unlinkat(self, from, AtFlags::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustix::fs::open;
    use tempfile::TempDir;

    use super::*;

    fn scene() -> (TempDir, Directory, UnixListener) {
        let temp = tempfile::tempdir().unwrap();
        let fd = open(temp.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let directory = Directory::new(fd, temp.path().to_owned());
        let listener = UnixListener::bind(temp.path().join("a")).unwrap();
        (temp, directory, listener)
    }

    #[test]
    fn what_has_a_name_is_told_and_held() {
        let (temp, directory, _listener) = scene();
        std::fs::write(temp.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("a", temp.path().join("link")).unwrap();
        let find = |name: &str| directory.find(OsStr::new(name)).unwrap();
        assert!(find("none").is_none());
        assert!(matches!(find("file"), Some(Found::Other(FileKind::Regular))));
        assert!(matches!(find("link"), Some(Found::Other(FileKind::Symlink))));
        let Some(Found::Socket(socket)) = find("a") else { panic!("it is a socket") };
        std::fs::remove_file(temp.path().join("a")).unwrap();
        let _next = UnixListener::bind(temp.path().join("a")).unwrap();
        assert_ne!(directory.identity_of(OsStr::new("a")).unwrap(), Some(socket.identity()), "its number is not free");
    }

    type Rename = fn(&Directory, &OsStr, &OsStr) -> io::Result<()>;

    #[test]
    fn no_way_to_give_a_name_replaces_anything() {
        for rename in [Directory::rename_if_free as Rename, Directory::link_if_free] {
            let (temp, directory, _listener) = scene();
            let rename = |from: &str, to: &str| rename(&directory, OsStr::new(from), OsStr::new(to));
            let socket = directory.identity_of(OsStr::new("a")).unwrap();
            std::fs::write(temp.path().join("b"), "precious").unwrap();
            assert_eq!(rename("a", "b").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read_to_string(temp.path().join("b")).unwrap(), "precious");
            assert_eq!(rename("none", "c").unwrap_err().kind(), io::ErrorKind::NotFound);
            rename("a", "c").unwrap();
            assert_eq!(directory.identity_of(OsStr::new("c")).unwrap(), socket);
            assert_eq!(directory.identity_of(OsStr::new("a")).unwrap(), None);
        }
    }
}
