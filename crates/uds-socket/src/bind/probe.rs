//! Whether somebody serves a socket, found out without disturbing whoever does.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use lock_file::FileKind;
use rustix::fs::{CWD, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use unix_diag::{Entry, FileId, Which};

use crate::address::{Address, SocketKind};
use crate::error::{Error, Result};
use crate::path::{check, descriptor_path};

/// What is known of the socket behind a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Liveness {
    /// Nobody has it: its server ended without removing the file.
    Stale,
    /// Somebody has bound it and does not listen (yet).
    Bound,
    /// Somebody serves it.
    Live,
    /// Somebody serves it, and its accept queue is full: busy, stopped or stuck.
    Wedged,
}

impl fmt::Display for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "stale",
            Self::Bound => "bound, and its owner is not listening yet",
            Self::Live => "served",
            Self::Wedged => "served, and its accept queue is full",
        })
    }
}

/// Says whether somebody serves the socket at `path`.
///
/// The kernel's socket table is asked first (`unix_diag`, `sock_diag(7)`), which the server does not notice. It
/// shows this network namespace only; what is not in it is probed by a connection that is closed at once.
///
/// # Errors
/// [`Error::NotThere`], [`Error::NotASocket`] (a symbolic link is none), [`Error::InvalidPath`],
/// [`Error::PathTooLong`]; [`Error::Connect`] when it cannot be told, as with a socket that we may not write to.
pub fn probe(path: impl AsRef<Path>) -> Result<Liveness> {
    let path = path.as_ref();
    check(path)?;
    let failed = |errno: Errno| Error::Connect { address: Address::Path(path.to_owned()), source: errno.into() };
    let file = match openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => file,
        Err(errno) => return Err(crate::connect::diagnose(path, SocketKind::Stream, errno)),
    };
    match FileKind::of_mode(fstat(&file).map_err(failed)?.st_mode) {
        FileKind::Socket => probe_inode(file.as_fd()).map_err(failed),
        kind => Err(Error::NotASocket { path: path.to_owned(), kind }),
    }
}

/// The same for a socket's file that is open with `O_PATH`: the very inode, whatever its name leads to by now.
pub(crate) fn probe_inode(file: BorrowedFd<'_>) -> rustix::io::Result<Liveness> {
    // If it is not found it may be in another network namespace, or there is no table to look in.
    let stat = fstat(file)?;
    if let Ok(Some(entry)) = find(&stat) {
        return Ok(liveness_of(&entry));
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&socket, &SocketAddrUnix::new(descriptor_path(file))?) {
        // Of another type than asked for, but there.
        Ok(()) | Err(Errno::PROTOTYPE) => Ok(Liveness::Live),
        Err(Errno::AGAIN) => Ok(Liveness::Wedged),
        // Nobody listens. But whoever has bound it is in the table, and may have been hidden from the first by neighbours
        // that closed while it was read.
        Err(Errno::CONNREFUSED) => Ok(match find(&stat) {
            Ok(Some(entry)) => liveness_of(&entry),
            _ => Liveness::Stale,
        }),
        Err(errno) => Err(errno),
    }
}

fn liveness_of(entry: &Entry) -> Liveness {
    match entry {
        entry if entry.is_full() => Liveness::Wedged,
        entry if entry.is_served() => Liveness::Live,
        _ => Liveness::Bound,
    }
}

/// Looks for the socket bound to the file that `stat` tells of; `None` if it is not in our network namespace's table.
fn find(stat: &Stat) -> std::result::Result<Option<Entry>, unix_diag::Error> {
    let file = FileId::new(stat.st_dev, stat.st_ino);
    let mut dump = unix_diag::dump(Which::Servers)?;
    dump.find(|entry| entry.as_ref().map_or(true, |entry| entry.file == Some(file))).transpose()
}
