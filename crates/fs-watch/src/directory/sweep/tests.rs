//! What becomes of a file that changes hands between being examined and being removed.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use rustix::net::listen;
use tempfile::TempDir;

use super::*;

/// A directory with one socket, bound and not listening, held as if it had been found stale.
fn scene() -> (TempDir, Handle, Held, OwnedFd) {
    let dir = tempfile::tempdir().unwrap();
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(dir.path().join("a")).unwrap()).unwrap();
    let handle = Handle::open(dir.path()).unwrap();
    let held = handle.find(OsStr::new("a")).unwrap().unwrap();
    (dir, handle, held, socket)
}

fn names(dir: &TempDir) -> Vec<OsString> {
    fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn what_has_taken_the_name_meanwhile_is_put_back() {
    let (dir, handle, held, _socket) = scene();
    fs::remove_file(dir.path().join("a")).unwrap();
    fs::write(dir.path().join("a"), "precious").unwrap();
    assert!(matches!(remove(&handle, OsStr::new("a"), &held), Err(Kept::Changed)));
    // The first look passed: it still was the one. The second one decides.
    assert!(matches!(remove_aside(&handle, OsStr::new("a"), &held), Err(Kept::Changed)));
    assert_eq!(names(&dir), ["a"]);
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "precious");
}

#[test]
fn one_that_turns_out_to_listen_is_put_back() {
    let (dir, handle, held, socket) = scene();
    listen(&socket, 8).unwrap();
    assert!(matches!(remove(&handle, OsStr::new("a"), &held), Err(Kept::InUse)));
    assert_eq!(names(&dir), ["a"]);
    assert_eq!(handle.number_of(OsStr::new("a")), Ok(Some(held.number())));
}

#[test]
fn putting_back_replaces_nothing() {
    let (dir, handle, held, _socket) = scene();
    drop(UnixListener::bind(dir.path().join("b")).unwrap());
    for put_back in [put_back, put_back_by_link] {
        assert_eq!(put_back(&handle, OsStr::new("a"), OsStr::new("b")), Err(Errno::EXIST));
        assert_eq!(names(&dir).len(), 2);
    }
    for (put_back, from, to) in [(put_back as fn(&_, &_, &_) -> _, "a", "c"), (put_back_by_link, "c", "d")] {
        put_back(&handle, OsStr::new(from), OsStr::new(to)).unwrap();
        assert_eq!(handle.number_of(OsStr::new(from)), Ok(None));
        assert_eq!(handle.number_of(OsStr::new(to)), Ok(Some(held.number())));
    }
}

#[test]
fn the_table_knows_this_filesystem_and_asking_leaves_nothing() {
    let (dir, handle, _, _socket) = scene();
    assert_eq!(is_told_of(&handle), Ok(true));
    assert_eq!(names(&dir), ["a"]);
}
