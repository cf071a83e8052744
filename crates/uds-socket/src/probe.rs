//! Whether a socket's file has a server, found out without disturbing one.
//!
//! The questions, in this order. Only if all of them say "stale" is a file stale.
//!
//! | question | noticed by the server | what it shows |
//! |---|---|---|
//! | `connect` of a *datagram* socket | no | whether a socket is bound to the file, in any network namespace |
//! | the kernel's table (`sock_diag(7)`), read twice | no | what that socket does; only in this network namespace |
//! | the file's age | no | whether its server may just be starting, where the first question is not conclusive |
//! | `connect` of a stream socket | yes, if there is one | for kernels that answer the first question in their own way |

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lock_file::FileKind;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use unix_diag::{Entry, FileId, Which};

use crate::address::{Address, SocketKind};
use crate::error::{Error, Result};
use crate::liveness::Liveness;
use crate::path::{check, descriptor_path};

/// How old a file must be for its server not to be one that has yet to be found by it, if the kernel's answer is not
/// conclusive.
const YOUNG: Duration = Duration::from_secs(2);

/// Says whether the socket at `path` has a server.
///
/// Asks the kernel what is bound to the file, which no server notices. A connection, closed at once, is tried last and only
/// if nothing seems to be bound.
///
/// [`Liveness::Young`] is never the answer: this removes nothing.
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
        FileKind::Socket => probe_inode(file.as_fd(), path).map_err(failed),
        kind => Err(Error::NotASocket { path: path.to_owned(), kind }),
    }
}

/// The same for a socket's file that is open with `O_PATH`: exactly that inode, whatever its name leads to by now.
///
/// `path` is asked instead where `/proc` is not mounted, and believed if it leads to that inode before and after.
pub(crate) fn probe_inode(file: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<Liveness> {
    let stat = fstat(file)?;
    match ask(file, path, SocketType::DGRAM) {
        // A datagram socket; one that takes messages from one peer only says PERM.
        Ok(()) | Err(Errno::PERM) => return Ok(found(&stat, Liveness::Live)),
        // Bound, and of another type: the types are compared before anything else.
        Err(Errno::PROTOTYPE) => return Ok(found(&stat, Liveness::Live)),
        Err(Errno::CONNREFUSED) => {}
        // The table may know more than we may ask.
        Err(errno) => return find(&stat).ok().flatten().map(|entry| liveness_of(&entry)).ok_or(errno),
    }
    // One reading may lack a socket whose neighbours close meanwhile.
    for _ in 0..2 {
        if let Ok(Some(entry)) = find(&stat) {
            return Ok(liveness_of(&entry));
        }
    }
    match ask(file, path, SocketType::STREAM) {
        Ok(()) | Err(Errno::PROTOTYPE) => Ok(Liveness::Live),
        Err(Errno::AGAIN) => Ok(Liveness::Wedged),
        Err(Errno::CONNREFUSED) => Ok(Liveness::Stale),
        Err(errno) => Err(errno),
    }
}

/// Whether a file that [`probe_inode`] calls stale may still be that of a server that is starting.
///
/// Between creating the file and making the socket known, `bind(2)` holds the lock of the directory since Linux 5.13. So what
/// is asked after a renaming in the same directory, as before a removal, is conclusive. On older kernels, and on those that
/// only resemble Linux, the file must be old enough.
pub(crate) fn may_be_starting(stat: &Stat, hides_servers: bool) -> bool {
    (hides_servers || !is_conclusive()) && age(stat) < YOUNG
}

/// Since the file was made or changed. One from the future was dated by a clock that has been set back since: it is old.
fn age(stat: &Stat) -> Duration {
    let since_epoch =
        Duration::new(u64::try_from(stat.st_ctime).unwrap_or(0), u32::try_from(stat.st_ctime_nsec).unwrap_or(0));
    SystemTime::now().duration_since(UNIX_EPOCH + since_epoch).unwrap_or(Duration::MAX)
}

/// Whether this kernel finds every socket by its file, from the moment `bind` has returned: Linux 5.13 or later. Systems that
/// resemble Linux, such as gVisor, say that they are older, or their name.
fn is_conclusive() -> bool {
    static IS_CONCLUSIVE: OnceLock<bool> = OnceLock::new();
    *IS_CONCLUSIVE.get_or_init(|| rustix::system::uname().release().to_str().is_ok_and(is_recent_linux))
}

fn is_recent_linux(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().ok());
    let is_recent =
        matches!((numbers.next(), numbers.next()), (Some(Some(major)), Some(Some(minor))) if (major, minor) >= (5, 13));
    is_recent && !release.to_ascii_lowercase().contains("gvisor")
}

/// Connects a socket of this kind, and closes it.
fn ask(file: BorrowedFd<'_>, path: &Path, kind: SocketType) -> rustix::io::Result<()> {
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    match connect(&socket, &SocketAddrUnix::new(descriptor_path(file))?) {
        // The file is open, so it is `/proc` that is missing.
        Err(Errno::NOENT | Errno::NOTDIR) => {}
        answer => return answer,
    }
    let leads_there = || {
        let named = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map(|stat| (stat.st_dev, stat.st_ino));
        named.is_ok() && named == fstat(file).map(|stat| (stat.st_dev, stat.st_ino))
    };
    let address = SocketAddrUnix::new(path)?;
    if !leads_there() {
        return Err(Errno::NOENT);
    }
    let answer = connect(&socket, &address);
    if leads_there() { answer } else { Err(Errno::NOENT) }
}

/// What the table says of it, if it has it.
fn found(stat: &Stat, otherwise: Liveness) -> Liveness {
    find(stat).ok().flatten().map_or(otherwise, |entry| liveness_of(&entry))
}

fn liveness_of(entry: &Entry) -> Liveness {
    match entry {
        entry if entry.is_full() => Liveness::Wedged,
        entry if entry.is_served() => Liveness::Live,
        _ => Liveness::Bound,
    }
}

/// The socket bound to the file that `stat` tells of; `None` if it is not in our network namespace's table.
fn find(stat: &Stat) -> std::result::Result<Option<Entry>, unix_diag::Error> {
    let file = FileId::new(stat.st_dev, stat.st_ino);
    let mut dump = unix_diag::dump(Which::Servers)?;
    dump.find(|entry| entry.as_ref().map_or(true, |entry| entry.file == Some(file))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_apart_by_their_release() {
        for (release, expected) in [
            ("5.13.0", true),
            ("5.12.19", false),
            ("6.1", true),
            ("4.4.0", false),
            ("6.1.0-gvisor", false),
            ("6.18.44-fc", true),
            ("", false),
            ("x", false),
        ] {
            assert_eq!(is_recent_linux(release), expected, "{release}");
        }
    }

    #[test]
    fn a_file_is_young_by_its_change_and_old_if_it_comes_from_the_future() {
        let directory = tempfile::tempdir().unwrap();
        let mut stat = rustix::fs::stat(directory.path()).unwrap();
        assert!(age(&stat) < Duration::from_secs(60));
        stat.st_ctime += 3600;
        assert_eq!(age(&stat), Duration::MAX);
        assert!(!may_be_starting(&stat, true));
        stat.st_ctime -= 7200;
        assert!(age(&stat) > Duration::from_secs(3500));
        assert!(!may_be_starting(&stat, true));
        assert!(may_be_starting(&rustix::fs::stat(tempfile::tempdir().unwrap().path()).unwrap(), true));
    }
}
