//! Mode and owner: exactly what was asked for, from the first moment.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::sync::atomic::{AtomicBool, Ordering};

use test_kit::process::{Actor, NOBODY, as_nobody};
use uds_socket::{Bind, BindError, LockFault, Mode};

use super::place::{Place, leave_stale, served_by};

#[test]
fn no_wider_mode_is_ever_seen_under_the_name() {
    let place = Place::new();
    let path = place.path();
    let mut binder = Actor::start("bind::child::child_that_listens");
    assert_eq!(binder.ask("umask 022"), "done");
    let stop = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = std::collections::BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                if let Ok(metadata) = path.symlink_metadata() {
                    seen.insert(metadata.mode() & 0o7777);
                }
            }
            seen
        });
        for _ in 0..100 {
            assert_eq!(binder.ask(&format!("bind 660 {}", path.display())), "bound");
            assert_eq!(binder.ask("release"), "done");
        }
        stop.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    // Under this umask it begins with less.
    assert!(seen.contains(&0o660), "{seen:?}");
    assert!(seen.iter().all(|mode| mode & !0o660 == 0), "{seen:?}");
}

#[test]
fn a_socket_is_private_unless_told_otherwise() {
    let place = Place::new();
    let _listener = place.listen(Bind::path(place.path())).unwrap();
    let metadata = place.path().metadata().unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.mode() & 0o7777, 0o600);
    assert_eq!(place.beside(".x.sock.lock").metadata().unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn owner_and_group_are_set_or_the_failure_leaves_nothing() {
    let place = Place::new();
    let bind = Bind::path(place.path()).mode(Mode::GROUP);
    if rustix::process::geteuid().is_root() {
        let listener = place.listen(bind.owner(NOBODY).group(NOBODY)).unwrap();
        let metadata = place.path().metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (NOBODY, NOBODY, 0o660));
        drop(listener);
    } else {
        assert!(matches!(place.listen(bind.owner(0)), Err(BindError::Bind { doing: "set the owner of", .. })));
    }
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn the_unprivileged_can_do_it_all_and_cannot_give_files_away() {
    let place = Place::public();
    // If root runs this, the unprivileged user gets a separate directory.
    let home = place.beside("home");
    fs::create_dir(&home).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    as_nobody(|| {
        let path = home.join("x.sock");
        let error = place.listen(Bind::path(&path).owner(0)).unwrap_err();
        assert!(matches!(error, BindError::Bind { doing: "set the owner of", .. }), "{error}");
        leave_stale(&path);
        let listener = place.listen(Bind::path(&path).mode(Mode::USER_ONLY)).unwrap();
        assert_eq!(served_by(&path), Some(std::process::id()));
        drop(listener);
        assert!(!path.exists());
    });
    if rustix::process::geteuid().is_root() {
        // Root shares the lock with the directory's owner, and with no other user.
        let lock = home.join(".x.sock.lock");
        fs::write(&lock, "").unwrap();
        std::os::unix::fs::chown(&lock, Some(NOBODY), Some(NOBODY)).unwrap();
        drop(place.listen(Bind::path(home.join("x.sock"))).unwrap());
        assert!(!lock.exists());
        fs::write(&lock, "").unwrap();
        std::os::unix::fs::chown(&lock, Some(54_321), None).unwrap();
        let error = place.rejected(home.join("x.sock"));
        assert!(matches!(error, BindError::ForeignLock { fault: LockFault::Owner(54_321), .. }), "{error}");
    }
}
