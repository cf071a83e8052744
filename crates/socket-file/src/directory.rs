//! A directory that is held open, and the files in it.

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

/// A directory that is held open: whatever happens to its path, all operations apply to this directory.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

/// The file that a name leads to.
#[derive(Debug)]
pub enum Found {
    /// A socket, held open.
    Socket(SocketFile),
    /// A file of another kind.
    Other(FileKind),
}

impl Found {
    /// The file at this path. A symbolic link at its end is not followed.
    ///
    /// # Errors
    ///
    /// The operating system's error; also if no file has the path.
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
    /// A directory that is open, possibly only as a path (`O_PATH`), and its path.
    pub fn new(fd: OwnedFd, path: PathBuf) -> Self {
        Self { fd, path }
    }

    /// The path as you passed it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the file with this name.
    pub fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// The file with this name; `None` if there is none. A symbolic link is not followed.
    ///
    /// # Errors
    ///
    /// The operating system's error.
    pub fn find(&self, name: &OsStr) -> io::Result<Option<Found>> {
        match Found::open_in(self.as_fd(), Path::new(name)) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The socket with this name; `None` if there is none, or a file of another kind.
    ///
    /// # Errors
    ///
    /// The operating system's error.
    pub fn find_socket(&self, name: &OsStr) -> io::Result<Option<SocketFile>> {
        Ok(match self.find(name)? {
            Some(Found::Socket(socket)) => Some(socket),
            Some(Found::Other(_)) | None => None,
        })
    }

    /// The identity of the file with this name.
    ///
    /// # Errors
    ///
    /// The operating system's error.
    pub fn identity_of(&self, name: &OsStr) -> io::Result<Option<Identity>> {
        match statat(self, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Identity { device: stat.st_dev, inode: stat.st_ino })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Renames `from` to `to`, unless a file with that name exists.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if such a file exists, [`NotFound`](io::ErrorKind::NotFound) if
    /// `from` does not, and any other error of the operating system.
    pub fn rename_if_free(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match renameat_with(self, from, self, to, RenameFlags::NOREPLACE) {
            // A hard link cannot replace a file either.
            Err(errno) if self.lacks_flags(errno) => self.link_if_free(from, to),
            result => Ok(result?),
        }
    }

    /// Moves `from` aside, to a name that no other process uses.
    pub(crate) fn move_aside(&self, from: &OsStr, aside: &OsStr) -> io::Result<()> {
        match renameat_with(self, from, self, aside, RenameFlags::NOREPLACE) {
            // There is no file that this could replace.
            Err(errno) if self.lacks_flags(errno) => Ok(renameat(self, from, self, aside)?),
            result => Ok(result?),
        }
    }

    /// Whether this error of `renameat2` means that the filesystem, the kernel or a sandbox does not support its flags.
    fn lacks_flags(&self, errno: Errno) -> bool {
        match errno {
            Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => true,
            // For a name that does not exist, only a sandbox returns this.
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
