//! A connection that is made only to see what becomes of it.

use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::facts::{Facts, Kind};
use crate::liveness::Answer;

/// Connects to the very socket that `facts` tell of, and closes at once. Never waits.
pub fn ask(path: &Path, facts: &Facts) -> (Answer, Kind) {
    let Ok(file) = openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) else {
        return (Answer::Failed, Kind::Unknown);
    };
    // By name another one might be reached that has come in its place meanwhile.
    let is_it = fstat(&file).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (facts.device, facts.inode));
    if is_it { ask_file(&file) } else { (Answer::Failed, Kind::Unknown) }
}

/// The same for a file that is open already; `O_PATH` suffices.
pub fn ask_file(file: impl AsFd) -> (Answer, Kind) {
    // Also shorter than the 107 bytes that a path may have in a socket's address.
    let Ok(address) = SocketAddrUnix::new(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())) else {
        return (Answer::Failed, Kind::Unknown);
    };
    // A type that is not the server's is refused before the server hears of it. Datagrams come second, because to connect
    // to such a socket tells nobody anything.
    for (kind, as_kind) in [
        (SocketType::STREAM, Kind::Stream),
        (SocketType::DGRAM, Kind::Datagram),
        (SocketType::SEQPACKET, Kind::SeqPacket),
    ] {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(socket) = socket_with(AddressFamily::UNIX, kind, flags, None) else {
            return (Answer::Failed, Kind::Unknown);
        };
        match connect(&socket, &address) {
            Ok(()) => return (Answer::Accepted, as_kind),
            Err(Errno::AGAIN) => return (Answer::QueueFull, as_kind),
            Err(Errno::CONNREFUSED) => return (Answer::Refused, Kind::Unknown),
            Err(Errno::PROTOTYPE) => {}
            // A datagram socket that takes messages from one peer alone.
            Err(Errno::PERM) if as_kind == Kind::Datagram => return (Answer::Accepted, as_kind),
            Err(Errno::ACCESS | Errno::PERM) => return (Answer::Denied, Kind::Unknown),
            Err(_) => return (Answer::Failed, Kind::Unknown),
        }
    }
    (Answer::Accepted, Kind::Unknown)
}

#[cfg(test)]
mod tests {
    use std::fs::symlink_metadata;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    use rustix::net::{bind, listen, socket};

    use super::*;

    fn answer(path: &Path) -> (Answer, Kind) {
        ask(path, &Facts::of(&symlink_metadata(path).unwrap()))
    }

    #[test]
    fn every_condition_has_its_answer() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);

        let stream = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        bind(&stream, &SocketAddrUnix::new(path("a")).unwrap()).unwrap();
        assert_eq!(answer(&path("a")), (Answer::Refused, Kind::Unknown), "bound");
        listen(&stream, 1).unwrap();
        assert_eq!(answer(&path("a")), (Answer::Accepted, Kind::Stream));
        let _waiting = UnixStream::connect(path("a")).unwrap();
        assert_eq!(answer(&path("a")), (Answer::QueueFull, Kind::Stream), "with ours before it");
        drop(stream);
        assert_eq!(answer(&path("a")), (Answer::Refused, Kind::Unknown), "stale");

        let packets = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        bind(&packets, &SocketAddrUnix::new(path("b")).unwrap()).unwrap();
        listen(&packets, 1).unwrap();
        assert_eq!(answer(&path("b")), (Answer::Accepted, Kind::SeqPacket));

        let datagrams = UnixDatagram::bind(path("c")).unwrap();
        assert_eq!(answer(&path("c")), (Answer::Accepted, Kind::Datagram));
        let _peer = UnixDatagram::bind(path("d")).unwrap();
        datagrams.connect(path("d")).unwrap();
        assert_eq!(answer(&path("c")), (Answer::Accepted, Kind::Datagram), "of one peer alone");

        std::fs::write(path("e"), "").unwrap();
        assert_eq!(answer(&path("e")).0, Answer::Refused, "a regular file");
    }

    #[test]
    fn the_one_that_was_listed_is_asked_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let _old = UnixListener::bind(&path).unwrap();
        let facts = Facts::of(&symlink_metadata(&path).unwrap());
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        let _new = UnixListener::bind(&path).unwrap();
        assert_eq!(ask(&path, &facts).0, Answer::Failed);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(ask(&path, &facts).0, Answer::Failed);
    }

    #[test]
    fn a_path_longer_than_an_address_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let _listener = UnixListener::bind(dir.path().join("a")).unwrap();
        std::fs::rename(dir.path().join("a"), deep.join("a")).unwrap();
        assert_eq!(answer(&deep.join("a")), (Answer::Accepted, Kind::Stream));
    }
}
