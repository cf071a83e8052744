//! The lock beside the socket.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use rustix::fs::{FlockOperation, flock};
use uds_actor::{Bind, Error, FileKind, LockFault, Withdrawal};

use super::place::{Place, inode, served_by};
use super::process::Actor;

#[test]
fn whoever_holds_the_lock_is_named() {
    let place = Place::new();
    let mut holder = Actor::start("child::child_that_listens");
    assert_eq!(holder.ask(&format!("bind 600 {}", place.path().display())), "bound");
    let error = place.refusal(place.path());
    let text = error.to_string();
    assert!(matches!(error, Error::Locked { pid: Some(pid), .. } if pid == holder.pid()), "{text}");
    assert!(text.contains(&format!("process {}", holder.pid())), "{text}");
    assert_eq!(served_by(&place.path()), Some(holder.pid()));
}

#[test]
fn a_lock_that_is_not_ours_is_not_used() {
    let place = Place::new();
    let lock = place.beside(".x.sock.lock");

    fs::write(&lock, "").unwrap();
    fs::hard_link(&lock, place.beside("other")).unwrap();
    assert!(matches!(place.refusal(place.path()), Error::ForeignLock { fault: LockFault::Links, .. }));
    fs::remove_file(&lock).unwrap();

    symlink("other", &lock).unwrap();
    assert!(matches!(
        place.refusal(place.path()),
        Error::ForeignLock { fault: LockFault::Kind(FileKind::Symlink), .. }
    ));
    fs::remove_file(&lock).unwrap();

    fs::create_dir(&lock).unwrap();
    assert!(matches!(
        place.refusal(place.path()),
        Error::ForeignLock { fault: LockFault::Kind(FileKind::Directory), .. }
    ));
    fs::remove_dir(&lock).unwrap();

    rustix::fs::mkfifoat(rustix::fs::CWD, &lock, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    assert!(matches!(place.refusal(place.path()), Error::ForeignLock { fault: LockFault::Kind(FileKind::Fifo), .. }));
    fs::remove_file(&lock).unwrap();

    // Too open: somebody who can read it could hold it. It is ours, so it is put right.
    fs::write(&lock, "no number").unwrap();
    fs::set_permissions(&lock, Permissions::from_mode(0o666)).unwrap();
    let listener = place.listen(Bind::path(place.path())).unwrap();
    assert_eq!(lock.metadata().unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_to_string(&lock).unwrap(), format!("{}\n", std::process::id()));
    drop(listener);

    // Held, and nothing legible in it.
    fs::write(&lock, "\u{1b}[2J").unwrap();
    let holder = fs::File::open(&lock).unwrap();
    flock(&holder, FlockOperation::LockExclusive).unwrap();
    assert!(matches!(place.refusal(place.path()), Error::Locked { pid: None, .. }));
}

#[test]
fn the_lock_stays_and_is_free_when_the_listener_is_gone() {
    let place = Place::new();
    let lock = place.beside(".x.sock.lock");
    drop(place.listen(Bind::path(place.path())).unwrap());
    let first = inode(&lock);
    let draining = place.listen(Bind::path(place.path())).unwrap().into_draining();
    assert!(matches!(draining.withdrawal(), Withdrawal::Removed));
    assert!(!place.path().exists());
    assert!(matches!(place.refusal(place.path()), Error::Locked { .. }), "draining still holds it");
    drop(draining);
    drop(place.listen(Bind::path(place.path())).unwrap());
    assert_eq!(inode(&lock), first);
}
