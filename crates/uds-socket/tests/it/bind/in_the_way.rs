//! What is in the way: what is no socket or alive is left alone, what is stale is replaced.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixDatagram, UnixListener as StdListener};

use uds_socket::{Bind, BindError, Connect, FileKind, Liveness, ProbeError, Verdict, probe};

use super::place::{Place, inode, leave_stale, served_by, until_stale};

#[test]
fn a_regular_file_is_rejected_and_left_alone() {
    let place = Place::new();
    fs::write(place.path(), "precious").unwrap();
    let before = inode(&place.path());
    assert!(matches!(place.rejected(place.path()), BindError::NotASocket { kind: FileKind::Regular, .. }));
    assert_eq!((inode(&place.path()), fs::read_to_string(place.path()).unwrap()), (before, "precious".into()));
    assert_eq!(place.names(), ["x.sock"], "nothing is created beside it");
}

#[test]
fn directories_pipes_and_links_are_rejected_wherever_they_lead() {
    let place = Place::new();
    fs::create_dir(place.beside("directory")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, place.beside("pipe"), rustix::fs::Mode::RUSR).unwrap();
    leave_stale(&place.beside("stale"));
    symlink("stale", place.beside("link")).unwrap();
    symlink("nowhere", place.beside("dangling")).unwrap();
    let before = place.names();
    for (name, expected) in [
        ("directory", FileKind::Directory),
        ("pipe", FileKind::Fifo),
        ("link", FileKind::Symlink),
        ("dangling", FileKind::Symlink),
    ] {
        let error = place.rejected(place.beside(name));
        assert!(matches!(&error, BindError::NotASocket { kind, .. } if *kind == expected), "{name}: {error}");
    }
    assert_eq!(place.names(), before);
}

#[test]
fn a_live_server_is_not_disturbed() {
    let place = Place::new();
    let server = StdListener::bind(place.path()).unwrap();
    server.set_nonblocking(true).unwrap();
    let before = inode(&place.path());
    for _ in 0..20 {
        let error = place.rejected(place.path());
        assert!(
            matches!(error, BindError::InUse { liveness: Liveness { verdict: Verdict::Listening, .. }, .. }),
            "{error}"
        );
        assert!(error.is_retryable());
    }
    assert_eq!(inode(&place.path()), before);
    // Not even one of our connections reached it.
    assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(served_by(&place.path()), Some(std::process::id()));
}

#[test]
fn servers_of_every_kind_are_told_apart_from_stale_sockets() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
    let place = Place::new();

    let _datagrams = UnixDatagram::bind(place.beside("datagrams")).unwrap();
    assert_eq!(probe(place.beside("datagrams")).unwrap().verdict, Verdict::Listening);

    let seqpacket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    bind(&seqpacket, &SocketAddrUnix::new(place.beside("seqpacket")).unwrap()).unwrap();
    listen(&seqpacket, 1).unwrap();
    assert_eq!(probe(place.beside("seqpacket")).unwrap().verdict, Verdict::Listening);

    let slow = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&slow, &SocketAddrUnix::new(place.beside("slow")).unwrap()).unwrap();
    assert_eq!(probe(place.beside("slow")).unwrap().verdict, Verdict::Bound);
    let error = place.rejected(place.beside("slow"));
    assert!(matches!(error, BindError::InUse { liveness: Liveness { verdict: Verdict::Bound, .. }, .. }), "{error}");
    listen(&slow, 0).unwrap();
    assert_eq!(probe(place.beside("slow")).unwrap().verdict, Verdict::Listening);
    let _waiting = Connect::path(place.beside("slow")).connect_blocking().unwrap();
    assert!(probe(place.beside("slow")).unwrap().is_full());
    let error = place.rejected(place.beside("slow"));
    assert!(matches!(error, BindError::InUse { liveness, .. } if liveness.is_full()), "{error}");
    drop(slow);
    until_stale(&place.beside("slow"));

    assert!(matches!(probe(place.beside("nothing")), Err(ProbeError::NotThere { .. })));
    fs::write(place.beside("file"), "").unwrap();
    assert!(matches!(probe(place.beside("file")), Err(ProbeError::NotASocket { kind: FileKind::Regular, .. })));
}

#[test]
fn a_stale_socket_is_replaced() {
    let place = Place::new();
    leave_stale(&place.path());
    let listener = place.listen(Bind::path(place.path())).unwrap();
    assert_eq!(served_by(&place.path()), Some(std::process::id()));
    assert_eq!(place.names(), [".x.sock.lock", "x.sock"]);
    assert_eq!(listener.address().to_string(), format!("unix:{}", place.path().display()));
}
