//! Paths of sockets, the names beside them, and paths too long for a socket address.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::fstat;
use rustix::net::SocketAddrUnix;
use socket_file::names;

use crate::error::{AddressError, PathFault};

/// Maximum bytes of a path in a socket address, without the final zero (`unix(7)`).
const SUN_PATH_MAX: usize = 107;
/// Maximum bytes of a path for the kernel, without the final zero (`PATH_MAX`).
const PATH_MAX: usize = 4095;
/// Maximum bytes of one component (`NAME_MAX`).
const NAME_MAX: usize = 255;
/// How much longer the lock's name is than the socket's: `.` and `.lock`.
const LOCK_EXTRA: usize = 6;

/// A path that can be the name of a socket, and the two names beside it.
///
/// Both begin with a dot, so that listings of sockets skip them. Both are derived from the name alone, so that a
/// restart finds what a crash left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SocketPath {
    path: PathBuf,
    absolute: PathBuf,
    directory: PathBuf,
    name: OsString,
}

impl SocketPath {
    pub(crate) fn new(path: PathBuf) -> Result<Self, AddressError> {
        check(&path)?;
        let (directory, name) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if parent.as_os_str().is_empty() => (Path::new("."), name),
            (Some(parent), Some(name)) => (parent, name),
            _ => {
                return Err(AddressError::InvalidPath { path, fault: PathFault::NamesADirectory });
            }
        };
        let max = NAME_MAX - LOCK_EXTRA;
        if name.len() > max {
            return Err(AddressError::PathTooLong { len: name.len(), max, path });
        }
        // If the working directory is gone, the path is all that we have.
        let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        Ok(Self { directory: directory.to_owned(), name: name.to_owned(), absolute, path })
    }

    pub(crate) fn as_path(&self) -> &Path {
        &self.path
    }

    /// The same as an absolute path, with symbolic links unresolved.
    pub(crate) fn absolute(&self) -> &Path {
        &self.absolute
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// `.NAME.lock`
    pub(crate) fn lock_name(&self) -> OsString {
        names::lock_name(&self.name)
    }

    /// `.NAME.old`, to which a stale socket is moved before it is removed.
    pub(crate) fn aside_name(&self) -> OsString {
        names::aside_name(&self.name)
    }

    /// `.NAME.older`, the same while `.NAME.old` is in use.
    pub(crate) fn second_aside_name(&self) -> OsString {
        names::second_aside_name(&self.name)
    }

    /// The address to bind to, which becomes the kernel's name for the socket (`getsockname`, `/proc/net/unix`).
    ///
    /// It is the absolute path if that fits and leads to `directory`, which is this directory, held open; otherwise the
    /// path as given; otherwise a path through the descriptor. `None` if the name alone is too long for all of these.
    pub(crate) fn address_in(&self, directory: BorrowedFd<'_>) -> rustix::io::Result<Option<SocketAddrUnix>> {
        let held = fstat(directory)?;
        let leads_there = |path: &Path| {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            rustix::fs::stat(parent).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (held.st_dev, held.st_ino))
        };
        for path in [&self.absolute, &self.path] {
            if fits(path) && leads_there(path) {
                return SocketAddrUnix::new(path.as_path()).map(Some);
            }
        }
        let by_descriptor = descriptor_path(directory).join(&self.name);
        if fits(&by_descriptor) { SocketAddrUnix::new(by_descriptor).map(Some) } else { Ok(None) }
    }

    /// The address of the name aside.
    pub(crate) fn address_aside(&self, directory: BorrowedFd<'_>) -> rustix::io::Result<SocketAddrUnix> {
        SocketAddrUnix::new(descriptor_path(directory).join(self.aside_name()))
    }
}

/// `/proc/self/fd/N`: a path for the file behind a descriptor, of any kind.
pub(crate) fn descriptor_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Whether `path` fits into a socket address unchanged.
pub(crate) fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= SUN_PATH_MAX
}

/// Rejects paths that cannot be a socket's on any filesystem.
pub(crate) fn check(path: &Path) -> Result<(), AddressError> {
    let bytes = path.as_os_str().as_bytes();
    let fault = if bytes.is_empty() {
        PathFault::Empty
    } else if bytes.contains(&0) {
        PathFault::Nul
    } else if matches!(bytes.rsplit(|byte| *byte == b'/').next(), Some(b"" | b"." | b"..")) {
        PathFault::NamesADirectory
    } else if bytes.len() > PATH_MAX {
        return Err(AddressError::PathTooLong { path: path.to_owned(), len: bytes.len(), max: PATH_MAX });
    } else {
        return Ok(());
    };
    Err(AddressError::InvalidPath { path: path.to_owned(), fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(path: &[u8]) -> PathFault {
        match SocketPath::new(PathBuf::from(OsStr::from_bytes(path))) {
            Err(AddressError::InvalidPath { fault, .. }) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_path_gives_a_directory_and_names_beside_it() {
        for (path, directory) in [("/run/app/x.sock", "/run/app"), ("x.sock", "."), ("a/x.sock", "a"), ("/x.sock", "/")]
        {
            let path = SocketPath::new(path.into()).unwrap();
            assert_eq!(path.directory(), Path::new(directory));
            assert_eq!(path.name(), "x.sock");
            assert_eq!(path.lock_name(), ".x.sock.lock");
            assert_eq!(path.aside_name(), ".x.sock.old");
        }
    }

    #[test]
    fn paths_that_cannot_name_a_socket_are_rejected() {
        assert_eq!(fault(b""), PathFault::Empty);
        assert_eq!(fault(b"/run/a\0b"), PathFault::Nul);
        for directory in [&b"/"[..], b".", b"..", b"/run/", b"/run/.", b"a/.."] {
            assert_eq!(fault(directory), PathFault::NamesADirectory, "{}", directory.escape_ascii());
        }
    }

    #[test]
    fn names_have_the_longest_length_their_lock_can_have() {
        assert!(SocketPath::new("n".repeat(249).into()).is_ok());
        let too_long = SocketPath::new("n".repeat(250).into());
        assert!(matches!(too_long, Err(AddressError::PathTooLong { len: 250, max: 249, .. })), "{too_long:?}");
        let deep = SocketPath::new(format!("/{}x", "d/".repeat(2048)).into());
        assert!(matches!(deep, Err(AddressError::PathTooLong { len: 4098, max: 4095, .. })), "{deep:?}");
    }
}
