//! The real kernel's table.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs::{self, symlink_metadata};
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use unix_diag::{Backlog, Entry, FileId, SocketKind, State, Table, Which, dump, find};

/// What any of several readings shows: other tests close sockets at the same time, which can hide one from a reading.
fn table(which: Which) -> Table {
    let mut table = Table::default();
    for _ in 0..4 {
        table.extend(dump(which).unwrap().map(Result::unwrap));
    }
    table
}

/// The number of the kernel's socket.
fn inode_of(socket: &impl AsRawFd) -> u32 {
    let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
    let link = link.to_str().unwrap();
    link.trim_start_matches("socket:[").trim_end_matches(']').parse().unwrap()
}

fn at(path: &Path) -> Option<Entry> {
    table(Which::Servers).get(FileId::of(&symlink_metadata(path).unwrap())).copied()
}

#[test]
fn a_socket_is_found_by_its_file_in_every_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");

    let stream = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&stream, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    let bound = at(&path).unwrap();
    assert_eq!((bound.kind, bound.state, bound.is_served()), (Some(SocketKind::Stream), State::Unconnected, false));
    assert_eq!(bound.uid, Some(symlink_metadata(&path).unwrap().uid()));

    listen(&stream, 0).unwrap();
    let listening = at(&path).unwrap();
    assert_eq!((listening.state, listening.backlog), (State::Listening, Some(Backlog { waiting: 0, limit: 0 })));
    assert!(!listening.is_full());
    let _client = UnixStream::connect(&path).unwrap();
    assert!(at(&path).unwrap().is_full());

    // Its number leads to the process that holds it.
    let link = fs::read_link(format!("/proc/self/fd/{}", stream.as_raw_fd())).unwrap();
    assert_eq!(link.to_str().unwrap(), format!("socket:[{}]", listening.inode));

    drop(stream);
    assert_eq!(at(&path), None);
}

#[test]
fn one_is_found_by_its_number() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["listener", "other"].map(|name| directory.path().join(name));
    let listeners = paths.clone().map(|path| UnixListener::bind(path).unwrap());
    for path in &paths {
        let entry = at(path).unwrap();
        assert_eq!(find(entry.inode).unwrap(), Some(entry));
    }
    let gone = at(&paths[0]).unwrap().inode;
    drop(listeners);
    assert_eq!(find(gone).unwrap(), None);
    assert_eq!(find(0).unwrap(), None);
}

#[test]
fn every_kind_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("datagrams");
    let _datagrams = UnixDatagram::bind(&path).unwrap();
    assert_eq!(at(&path).map(|entry| (entry.kind, entry.is_served())), Some((Some(SocketKind::Datagram), true)));
    let path = directory.path().join("packets");
    let packets = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    bind(&packets, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    listen(&packets, 8).unwrap();
    assert_eq!(at(&path).map(|entry| (entry.kind, entry.state)), Some((Some(SocketKind::Seqpacket), State::Listening)));
}

/// Connecting to a datagram socket changes the state of both sockets, and the server still receives.
#[test]
fn a_datagram_socket_serves_whoever_has_connected() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let receiver = UnixDatagram::bind(path("receiver")).unwrap();
    let sender = UnixDatagram::bind(path("sender")).unwrap();
    sender.connect(path("receiver")).unwrap();
    for name in ["receiver", "sender"] {
        let found = at(&path(name)).map(|entry| (entry.kind, entry.state, entry.is_served()));
        assert_eq!(found, Some((Some(SocketKind::Datagram), State::Connected, true)), "{name}");
    }
    // Also after the other one has closed.
    drop(sender);
    assert!(at(&path("receiver")).unwrap().is_served());
    assert_eq!(at(&path("sender")), None);
    drop(receiver);
    assert_eq!(at(&path("receiver")), None);
}

#[test]
fn names_do_not_matter_and_files_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let _listener = UnixListener::bind(path("a")).unwrap();
    fs::hard_link(path("a"), path("b")).unwrap();
    fs::rename(path("a"), path("c")).unwrap();
    for name in ["b", "c"] {
        assert!(at(&path(name)).unwrap().is_served(), "{name}");
    }
}

#[test]
fn a_connection_that_outlives_its_listener_does_not_make_it_live() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    let (server, _) = listener.accept().unwrap();
    drop(listener);
    assert_eq!(at(&path), None);
    let all = table(Which::All);
    let left = all.get(FileId::of(&symlink_metadata(&path).unwrap())).unwrap();
    assert_eq!((left.state, left.is_served()), (State::Connected, false));
    drop((client, server));
}

/// If a socket does not listen, the kernel uses the attribute of the queue for something else: bytes.
#[test]
fn only_a_listener_has_a_backlog() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    let stream = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&stream, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    assert_eq!(at(&path).unwrap().backlog, None, "bound");

    let other = UnixListener::bind(directory.path().join("other")).unwrap();
    rustix::net::connect(&stream, &SocketAddrUnix::new(directory.path().join("other")).unwrap()).unwrap();
    let (mut served, _) = other.accept().unwrap();
    // Here the attribute counts unread bytes.
    served.write_all(b"unread").unwrap();
    let connected = table(Which::All).get(FileId::of(&symlink_metadata(&path).unwrap())).copied().unwrap();
    assert_eq!((connected.state, connected.backlog, connected.is_full()), (State::Connected, None, false));

    // The connections that a listener accepted have its file, but not its backlog.
    let accepted = find(inode_of(&served)).unwrap().unwrap();
    assert_eq!((accepted.state, accepted.backlog), (State::Connected, None));
    assert!(at(&directory.path().join("other")).unwrap().backlog.is_some());
}

#[test]
fn a_table_longer_than_one_piece_is_read_to_its_end() {
    // More descriptors than many shells allow by default.
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < 2_200) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(2_200), ..limit }).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..2000).map(|n| directory.path().join(n.to_string())).collect();
    let listeners: Vec<_> = paths.iter().map(|path| UnixListener::bind(path).unwrap()).collect();
    let table = table(Which::Servers);
    for path in &paths {
        let entry = table.get(FileId::of(&symlink_metadata(path).unwrap()));
        assert!(entry.is_some_and(Entry::is_served), "{path:?}");
    }
    drop(listeners);
}

#[test]
fn a_second_reading_adds_what_the_first_lacked_and_forgets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let file = |name: &str| FileId::of(&symlink_metadata(path(name)).unwrap());
    let early = UnixListener::bind(path("early")).unwrap();
    let mut table = table(Which::Servers);
    // A file may get the number of one that other processes have just removed and that the table still has.
    let (late, _listener) = (0..100)
        .map(|number| format!("late-{number}"))
        .map(|name| (name.clone(), UnixListener::bind(path(&name)).unwrap()))
        .find(|(name, _)| table.get(file(name)).is_none())
        .expect("a file whose number is new");
    drop(early);
    table.read_again().unwrap();
    // Once more, because other processes use the machine.
    table.read_again().unwrap();
    assert!(table.get(file(&late)).is_some_and(Entry::is_served) && table.get(file("early")).is_some());
}
