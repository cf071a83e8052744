//! One manager per directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use fs_watch::Error;
use fs_watch::directory::{Lock, LockFault};

use crate::Scene;
use crate::other::Other;

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
    drop(Lock::take(scene.dir()).unwrap());
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
fn a_child_that_is_being_started_does_not_keep_the_lock() {
    let scene = Scene::new();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = Command::new("true").stdin(Stdio::null()).status();
                }
            });
        }
        let taken: Vec<_> = (0..200).map(|_| Lock::take(scene.dir()).map(drop)).collect();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        for outcome in taken {
            outcome.unwrap();
        }
    });
}

#[test]
fn what_is_no_lock_of_ours_is_refused_and_left_alone() {
    type Prepare = fn(&std::path::Path);
    let cases: [(&str, Prepare, LockFault); 5] = [
        ("a link", |path| symlink("elsewhere", path).unwrap(), LockFault::NotAFile),
        ("a directory", |path| fs::create_dir(path).unwrap(), LockFault::NotAFile),
        ("a socket", |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()), LockFault::NotAFile),
        (
            "a pipe",
            |path| {
                let made = Command::new("mkfifo").arg(path).status().unwrap();
                assert!(made.success());
            },
            LockFault::NotAFile,
        ),
        (
            "a file with two names",
            |path| {
                fs::write(path, "precious").unwrap();
                fs::hard_link(path, path.with_file_name("other")).unwrap();
            },
            LockFault::Links,
        ),
    ];
    for (what, prepare, expected) in cases {
        let scene = Scene::new();
        prepare(&scene.path(NAME));
        let before = scene.names();
        match Lock::take(scene.dir()) {
            Err(error @ Error::ForeignLock { fault, .. }) => {
                assert_eq!(fault, expected, "{what}");
                assert!(!error.is_retryable());
            }
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(scene.names(), before, "{what}");
        if what == "a file with two names" {
            assert_eq!(fs::read_to_string(scene.path(NAME)).unwrap(), "precious");
        }
    }
}

#[test]
fn a_directory_where_others_may_rename_is_refused() {
    let scene = Scene::new();
    for (mode, refused) in [(0o777, true), (0o770, true), (0o1777, false), (0o755, false)] {
        fs::set_permissions(scene.dir(), fs::Permissions::from_mode(mode)).unwrap();
        match Lock::take(scene.dir()) {
            Ok(_) => assert!(!refused, "{mode:o}"),
            Err(Error::SharedDirectory { .. }) => assert!(refused, "{mode:o}"),
            Err(error) => panic!("{mode:o}: {error}"),
        }
    }
}

#[test]
fn the_lock_is_private_whatever_the_umask_and_whatever_was_there() {
    let scene = Scene::new();
    fs::write(scene.path(NAME), "a longer text than a process id").unwrap();
    fs::set_permissions(scene.path(NAME), fs::Permissions::from_mode(0o666)).unwrap();
    let _lock = Lock::take(scene.dir()).unwrap();
    assert_eq!(fs::metadata(scene.path(NAME)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(scene.path(NAME)).unwrap(), format!("{}\n", std::process::id()));
}

#[test]
fn no_directory_is_said() {
    let scene = Scene::new();
    assert!(matches!(Lock::take(scene.path("none")), Err(Error::Missing { .. })));
    fs::write(scene.path("file"), "").unwrap();
    assert!(matches!(Lock::take(scene.path("file")), Err(Error::NotADirectory { .. })));
}
