//! Two questions about one socket file: a lookup, which no server notices, and a connection, which a server does
//! notice.
//!
//! The kernel finds the socket that is bound to a file through its inode, regardless of its network namespace, and
//! compares the types before it does anything else (`unix_find_bsd` in `net/unix/af_unix.c`). Connecting a *datagram*
//! socket is therefore a lookup:
//!
//! | `connect` of a datagram socket | what is bound to the file |
//! |---|---|
//! | `ECONNREFUSED` | nothing. A connection that a dead listener accepted does not count |
//! | `EPROTOTYPE` | a stream or seqpacket socket, which may listen or not, and may be connected itself |
//! | success, `EPERM` | a datagram socket, which receives nothing from the lookup |

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use unix_diag::SocketKind;

use crate::facts::Facts;
use crate::question::{Answer, Question};

/// Asks about exactly the socket that `facts` describes. It never waits.
pub fn ask(path: &Path, facts: &Facts, question: Question) -> (Answer, Option<SocketKind>) {
    let Ok(file) = openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) else {
        return (Answer::Failed, None);
    };
    // The name may lead to another socket by now.
    let is_it = fstat(&file).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (facts.device, facts.inode));
    if is_it { ask_file(&file, path, question) } else { (Answer::Failed, None) }
}

/// Asks about the socket whose file is open. `path` must lead to the file and is used if `/proc` is not mounted. A
/// lookup by path counts only if the path leads to the same file before and after.
pub fn ask_file(file: impl AsFd, path: &Path, question: Question) -> (Answer, Option<SocketKind>) {
    question_file(file.as_fd(), path, question).unwrap_or((Answer::Failed, None))
}

/// The same, with the error behind [`Answer::Failed`].
pub(crate) fn question_file(
    file: BorrowedFd<'_>,
    path: &Path,
    question: Question,
) -> rustix::io::Result<(Answer, Option<SocketKind>)> {
    // Also, a path in a socket address is limited to 107 bytes, and this one is shorter.
    let by_descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    match put(&SocketAddrUnix::new(&*by_descriptor)?, question) {
        // The file is open, so `/proc` is missing.
        Err(Errno::NOENT | Errno::NOTDIR) => question_by_name(file, path, question),
        answer => answer,
    }
}

fn question_by_name(
    file: BorrowedFd<'_>,
    path: &Path,
    question: Question,
) -> rustix::io::Result<(Answer, Option<SocketKind>)> {
    let leads_there = || {
        let named = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map(|stat| (stat.st_dev, stat.st_ino));
        named.is_ok() && named == fstat(file).map(|stat| (stat.st_dev, stat.st_ino))
    };
    let address = SocketAddrUnix::new(path)?;
    if !leads_there() {
        return Err(Errno::NOENT);
    }
    let answer = put(&address, question);
    if leads_there() { answer } else { Err(Errno::NOENT) }
}

fn put(address: &SocketAddrUnix, question: Question) -> Result<(Answer, Option<SocketKind>), Errno> {
    let found = match try_as(SocketType::DGRAM, address) {
        // EPERM: a datagram socket that receives only from one peer.
        Ok(()) | Err(Errno::PERM) => return Ok((Answer::Accepted, Some(SocketKind::Datagram))),
        Err(Errno::CONNREFUSED) => Answer::Unbound,
        Err(Errno::PROTOTYPE) => Answer::Bound,
        Err(Errno::ACCESS) => return Ok((Answer::Denied, None)),
        Err(errno) => return Err(errno),
    };
    if question == Question::Lookup {
        return Ok((found, None));
    }
    // Do this even if nothing seems to be bound: not every system that identifies itself as Linux compares types first.
    for (socket_type, kind) in
        [(SocketType::STREAM, SocketKind::Stream), (SocketType::SEQPACKET, SocketKind::Seqpacket)]
    {
        match try_as(socket_type, address) {
            Ok(()) => return Ok((Answer::Accepted, Some(kind))),
            Err(Errno::AGAIN) => return Ok((Answer::QueueFull, Some(kind))),
            Err(Errno::CONNREFUSED) if found == Answer::Bound => return Ok((Answer::Refused, Some(kind))),
            Err(Errno::CONNREFUSED | Errno::PROTOTYPE) => {}
            Err(Errno::ACCESS | Errno::PERM) => return Ok((Answer::Denied, None)),
            Err(errno) => return Err(errno),
        }
    }
    Ok((found, None))
}

fn try_as(kind: SocketType, address: &SocketAddrUnix) -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, kind, flags, None)?;
    connect(&socket, address)
}

#[cfg(test)]
mod tests {
    use std::fs::symlink_metadata;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    use rustix::net::{bind, listen, socket};

    use super::*;

    fn answer(path: &Path) -> (Answer, Option<SocketKind>) {
        ask(path, &Facts::of(&symlink_metadata(path).unwrap()), Question::Connect)
    }

    fn lookup(path: &Path) -> (Answer, Option<SocketKind>) {
        ask(path, &Facts::of(&symlink_metadata(path).unwrap()), Question::Lookup)
    }

    #[test]
    fn every_condition_has_its_answer() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);

        let stream = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        bind(&stream, &SocketAddrUnix::new(path("a")).unwrap()).unwrap();
        assert_eq!(answer(&path("a")), (Answer::Refused, Some(SocketKind::Stream)), "bound");
        listen(&stream, 1).unwrap();
        assert_eq!(answer(&path("a")), (Answer::Accepted, Some(SocketKind::Stream)));
        let _waiting = UnixStream::connect(path("a")).unwrap();
        assert_eq!(answer(&path("a")), (Answer::QueueFull, Some(SocketKind::Stream)), "with ours before it");
        drop(stream);
        assert_eq!(answer(&path("a")), (Answer::Unbound, None), "stale");

        let packets = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        bind(&packets, &SocketAddrUnix::new(path("b")).unwrap()).unwrap();
        listen(&packets, 1).unwrap();
        assert_eq!(answer(&path("b")), (Answer::Accepted, Some(SocketKind::Seqpacket)));

        let datagrams = UnixDatagram::bind(path("c")).unwrap();
        assert_eq!(answer(&path("c")), (Answer::Accepted, Some(SocketKind::Datagram)));
        let _peer = UnixDatagram::bind(path("d")).unwrap();
        datagrams.connect(path("d")).unwrap();
        assert_eq!(answer(&path("c")), (Answer::Accepted, Some(SocketKind::Datagram)), "of one peer alone");

        std::fs::write(path("e"), "").unwrap();
        assert_eq!(answer(&path("e")).0, Answer::Unbound, "a regular file");
    }

    #[test]
    fn a_lookup_tells_bound_from_unbound_and_no_server_notices() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for (name, kind) in [("stream", SocketType::STREAM), ("packets", SocketType::SEQPACKET)] {
            let server = socket(AddressFamily::UNIX, kind, None).unwrap();
            bind(&server, &SocketAddrUnix::new(path(name)).unwrap()).unwrap();
            assert_eq!(lookup(&path(name)), (Answer::Bound, None), "{name}, bound");
            listen(&server, 4).unwrap();
            assert_eq!(lookup(&path(name)), (Answer::Bound, None), "{name}, listening");
            rustix::io::ioctl_fionbio(&server, true).unwrap();
            assert_eq!(rustix::net::accept(&server).unwrap_err(), Errno::AGAIN, "{name}: nothing came");
            drop(server);
            assert_eq!(lookup(&path(name)), (Answer::Unbound, None), "{name}, dead");
        }
        // A client with its own name, and the connection that a listener has left behind.
        let listener = UnixListener::bind(path("listener")).unwrap();
        let client = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        bind(&client, &SocketAddrUnix::new(path("client")).unwrap()).unwrap();
        connect(&client, &SocketAddrUnix::new(path("listener")).unwrap()).unwrap();
        let _accepted = listener.accept().unwrap();
        drop(listener);
        assert_eq!(lookup(&path("client")).0, Answer::Bound);
        assert_eq!(lookup(&path("listener")).0, Answer::Unbound);
        // A datagram server has received nothing.
        let datagrams = UnixDatagram::bind(path("datagrams")).unwrap();
        assert_eq!(lookup(&path("datagrams")), (Answer::Accepted, Some(SocketKind::Datagram)));
        datagrams.set_nonblocking(true).unwrap();
        assert_eq!(datagrams.recv(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn by_name_the_same_is_told_of_the_same_file_and_nothing_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let _listener = UnixListener::bind(&path).unwrap();
        let file = openat(CWD, &path, OFlags::PATH, Mode::empty()).unwrap();
        let by_name = |path: &Path, question| question_by_name(file.as_fd(), path, question).map(|(answer, _)| answer);
        assert_eq!(by_name(&path, Question::Lookup), Ok(Answer::Bound));
        assert_eq!(by_name(&path, Question::Connect), Ok(Answer::Accepted));
        let other = dir.path().join("b");
        let _other = UnixListener::bind(&other).unwrap();
        assert_eq!(by_name(&other, Question::Lookup), Err(Errno::NOENT));
        assert_eq!(by_name(&dir.path().join("none"), Question::Lookup), Err(Errno::NOENT));
    }

    #[test]
    fn the_one_that_was_listed_is_asked_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let _old = UnixListener::bind(&path).unwrap();
        let facts = Facts::of(&symlink_metadata(&path).unwrap());
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        let _new = UnixListener::bind(&path).unwrap();
        assert_eq!(ask(&path, &facts, Question::Lookup).0, Answer::Failed);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(ask(&path, &facts, Question::Lookup).0, Answer::Failed);
    }

    #[test]
    fn a_path_longer_than_an_address_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let _listener = UnixListener::bind(dir.path().join("a")).unwrap();
        std::fs::rename(dir.path().join("a"), deep.join("a")).unwrap();
        assert_eq!(answer(&deep.join("a")), (Answer::Accepted, Some(SocketKind::Stream)));
    }
}
