//! Housekeeping leaves no descriptor open.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use fs_watch::directory::{Lock, Sweep, survey};
use fs_watch::{Probing, connect_at};

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn no_descriptor_is_left() {
    test_kit::alone!();
    let dir = tempfile::tempdir().unwrap();
    let _live = UnixListener::bind(dir.path().join("live")).unwrap();
    let mut watcher = fs_watch::Watcher::start(dir.path()).await.unwrap();
    let socket = loop {
        if let fs_watch::Event::InitApply(socket) = watcher.next().await.unwrap() {
            break socket;
        }
    };
    watcher.shutdown().await;
    let before = descriptors();
    for _ in 0..5 {
        drop(UnixListener::bind(dir.path().join("stale")).unwrap());
        drop(Lock::take(dir.path()).unwrap());
        survey(dir.path(), Probing::TableAndConnect).unwrap();
        drop(connect_at(&socket).unwrap());
        assert_eq!(Sweep::default().min_age(Duration::ZERO).without_grace().run(dir.path()).unwrap().removed(), 1);
        assert_eq!(descriptors(), before);
    }
    // Nor by what fails.
    drop(UnixListener::bind(dir.path().join("stale")).unwrap());
    let _lock = Lock::take(dir.path()).unwrap();
    let before = descriptors();
    for _ in 0..5 {
        Lock::take(dir.path()).unwrap_err();
        Lock::take(dir.path().join("live")).unwrap_err();
        Sweep::default().run(dir.path()).unwrap();
        Sweep::default().run(dir.path().join("none")).unwrap_err();
        assert_eq!(descriptors(), before);
    }
}
