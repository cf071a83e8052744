//! One manager per directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use fs_watch::directory::{Error, FileKind, Lock, LockFault};

use crate::housekeeping::Scene;
use crate::housekeeping::other::Other;

const NAME: &str = ".fs-watch.lock";

#[test]
fn the_second_is_told_who_is_the_first() {
    let scene = Scene::new();
    let lock = Lock::take(scene.dir()).unwrap();
    assert_eq!(lock.dir(), scene.dir());
    match Lock::take(scene.dir()) {
        Err(error @ Error::Locked { pid: Some(pid), .. }) => {
            assert_eq!(pid, std::process::id());
            assert!(error.to_string().contains(&format!("process {pid}")) && error.is_retryable(), "{error}");
        }
        other => panic!("{other:?}"),
    }
    drop(lock);
    assert_eq!(scene.names(), [""; 0], "it leaves no file");
    drop(Lock::take(scene.dir()).unwrap());
}

/// Each removes the file at its end; of many that try, never two manage the directory.
#[test]
fn of_many_managers_that_come_and_go_never_two_hold_the_lock() {
    let scene = Scene::new();
    let held = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut taken = 0;
                while taken < 100 {
                    match Lock::take(scene.dir()) {
                        Ok(lock) => {
                            assert!(!held.swap(true, Ordering::SeqCst), "two hold it");
                            held.store(false, Ordering::SeqCst);
                            drop(lock);
                            taken += 1;
                        }
                        Err(Error::Locked { .. }) => std::thread::yield_now(),
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(scene.names(), [""; 0]);
}

#[test]
fn the_lock_of_a_killed_process_is_free() {
    let scene = Scene::new();
    let other = Other::start("lock", scene.dir());
    match Lock::take(scene.dir()) {
        Err(Error::Locked { pid, .. }) => assert_eq!(pid, Some(other.pid())),
        other => panic!("{other:?}"),
    }
    other.kill();
    drop(Lock::take(scene.dir()).unwrap());
}

#[test]
fn a_file_that_is_not_our_lock_is_rejected_and_left_alone() {
    let scene = Scene::new();
    symlink("elsewhere", scene.path(NAME)).unwrap();
    match Lock::take(scene.dir()) {
        Err(error @ Error::ForeignLock { fault: LockFault::Kind(FileKind::Symlink), .. }) => {
            assert!(error.to_string().contains("it is a symbolic link") && !error.is_retryable(), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.names(), [NAME]);
}

#[test]
fn a_directory_where_other_users_may_rename_is_rejected() {
    let scene = Scene::new();
    for (mode, rejected) in [(0o777, true), (0o770, true), (0o1777, false), (0o755, false)] {
        fs::set_permissions(scene.dir(), fs::Permissions::from_mode(mode)).unwrap();
        match Lock::take(scene.dir()) {
            Ok(_) => assert!(!rejected, "{mode:o}"),
            Err(Error::SharedDirectory { .. }) => assert!(rejected, "{mode:o}"),
            Err(error) => panic!("{mode:o}: {error}"),
        }
    }
}

#[test]
fn no_directory_is_said() {
    let scene = Scene::new();
    assert!(matches!(Lock::take(scene.path("none")), Err(Error::Missing { .. })));
    fs::write(scene.path("file"), "").unwrap();
    assert!(matches!(Lock::take(scene.path("file")), Err(Error::NotADirectory { .. })));
}
