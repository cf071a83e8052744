//! The lock beside the socket.

use std::fs;
use std::os::unix::fs::symlink;

use test_kit::process::Actor;
use uds_socket::{Bind, BindError, FileKind, LockFault, Withdrawal};

use super::place::{Place, served_by};

#[test]
fn the_holder_of_the_lock_is_named() {
    let place = Place::new();
    let mut holder = Actor::start("bind::child::child_that_listens");
    assert_eq!(holder.ask(&format!("bind 600 {}", place.path().display())), "bound");
    let error = place.rejected(place.path());
    let text = error.to_string();
    assert!(matches!(error, BindError::Locked { pid: Some(pid), .. } if pid == holder.pid()), "{text}");
    assert!(text.contains(&format!("process {}", holder.pid())), "{text}");
    assert_eq!(served_by(&place.path()), Some(holder.pid()));
}

#[test]
fn a_lock_that_is_not_ours_is_not_used() {
    let place = Place::new();
    let lock = place.beside(".x.sock.lock");

    fs::write(&lock, "").unwrap();
    fs::hard_link(&lock, place.beside("other")).unwrap();
    assert!(matches!(place.rejected(place.path()), BindError::ForeignLock { fault: LockFault::Links, .. }));
    fs::remove_file(&lock).unwrap();

    symlink("other", &lock).unwrap();
    let error = place.rejected(place.path());
    assert!(matches!(error, BindError::ForeignLock { fault: LockFault::Kind(FileKind::Symlink), .. }), "{error}");
}

#[test]
fn the_lock_is_held_as_long_as_anything_can_be_accepted_and_then_removed() {
    let place = Place::new();
    let lock = place.beside(".x.sock.lock");
    let draining = place.listen(Bind::path(place.path())).unwrap().into_draining();
    assert!(matches!(draining.withdrawal(), Withdrawal::Removed));
    assert!(!place.path().exists());
    assert!(matches!(place.rejected(place.path()), BindError::Locked { .. }), "draining still holds it");
    assert!(lock.exists());
    drop(draining);
    assert_eq!(place.names(), [""; 0]);
    // Whether the end is orderly or an error.
    fs::write(place.path(), "").unwrap();
    place.rejected(place.path());
    assert_eq!(place.names(), ["x.sock"]);
}
