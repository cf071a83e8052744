//! What a sweep makes of what it finds when it removes a socket. How a name is taken away is tested in `socket-file`.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::net::listen;
use tempfile::TempDir;

use super::*;

/// A directory with one socket, bound and not listening, held as if it had been found stale.
fn scene() -> (TempDir, Handle, SocketFile, OwnedFd) {
    let dir = tempfile::tempdir().unwrap();
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(dir.path().join("a")).unwrap()).unwrap();
    let handle = Handle::open(dir.path()).unwrap();
    let held = handle.find_socket(OsStr::new("a")).unwrap().unwrap();
    (dir, handle, held, socket)
}

fn names(dir: &TempDir) -> Vec<OsString> {
    fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn what_has_taken_the_name_meanwhile_stays() {
    let (dir, handle, held, _socket) = scene();
    fs::remove_file(dir.path().join("a")).unwrap();
    assert!(matches!(remove(&handle, OsStr::new("a"), &held), Err(Kept::Changed)));
    fs::write(dir.path().join("a"), "precious").unwrap();
    assert!(matches!(remove(&handle, OsStr::new("a"), &held), Err(Kept::Changed)));
    assert_eq!(names(&dir), ["a"]);
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "precious");
}

#[test]
fn one_that_turns_out_to_listen_is_put_back() {
    let (dir, handle, held, socket) = scene();
    listen(&socket, 8).unwrap();
    assert!(matches!(remove(&handle, OsStr::new("a"), &held), Err(Kept::InUse)));
    assert_eq!(names(&dir), ["a"]);
    assert_eq!(handle.identity_of(OsStr::new("a")).unwrap(), Some(held.identity()));
}

#[test]
fn the_table_knows_this_filesystem_and_asking_leaves_nothing() {
    let (dir, handle, _, _socket) = scene();
    assert!(is_told_of(&handle).unwrap());
    assert_eq!(names(&dir), ["a"]);
}
