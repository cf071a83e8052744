//! After `shutdown` nothing is left. In a program of its own, because it counts what the process holds.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::future::Future;
use std::time::Duration;

use fs_watch::Watcher;
use rustix::fs::{CWD, RenameFlags};

fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // One may end between the listing and the reading.
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.starts_with("fs-watch") || name.starts_with("notify")).collect()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn inotify_instances() -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    links.filter(|link| link.to_string_lossy().contains("inotify")).count()
}

/// What each inotify instance watches, as the kernel tells it.
fn inotify_watches() -> usize {
    let infos = fs::read_dir("/proc/self/fdinfo").unwrap();
    let infos = infos.filter_map(|info| fs::read_to_string(info.unwrap().path()).ok());
    infos.map(|info| info.lines().filter(|line| line.starts_with("inotify wd:")).count()).sum()
}

async fn gone() {
    // notify's thread cannot be joined: it has done its last act, but the kernel may need a moment.
    while !threads().is_empty() {
        tokio::task::yield_now().await;
    }
}

async fn bounded(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("shutdown must end");
}

// One test, because all tests of a program share its descriptors.
#[tokio::test]
async fn a_process_has_one_inotify_instance_and_after_shutdown_nothing() {
    bounded(async {
        let dir = tempfile::tempdir().unwrap();
        let before = descriptors();
        for _ in 0..50 {
            let mut watcher = Watcher::start(dir.path()).await.unwrap();
            watcher.next().await.unwrap();
            assert_eq!(threads().len(), 3, "ours, its control, and notify's: {:?}", threads());
            watcher.shutdown().await;
            assert_eq!(descriptors(), before);
            gone().await;
        }

        let dirs: Vec<_> = (0..100).map(|number| dir.path().join(number.to_string())).collect();
        let mut watchers = Vec::new();
        for dir in &dirs {
            fs::create_dir(dir).unwrap();
            watchers.push(Watcher::start(dir).await.unwrap());
        }
        assert_eq!(inotify_instances(), 1);
        assert_eq!(threads().len(), 102, "one each, and two for all: {:?}", threads());
        // Their directories, and the one above.
        assert_eq!(inotify_watches(), 101);
        // Also when directories change places: each is then watched under the other's name.
        for pair in [[0, 1], [1, 2], [0, 2]] {
            let [one, other] = pair.map(|number| &dirs[number]);
            rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
            for number in pair {
                watchers[number].sync().await.unwrap();
            }
            // Whoever was told that its watch had gone to another name has armed again by now.
            for number in pair {
                watchers[number].sync().await.unwrap();
            }
            assert_eq!((inotify_instances(), inotify_watches()), (1, 101));
        }
        while let Some(watcher) = watchers.pop() {
            watcher.shutdown().await;
            let left = watchers.len();
            assert_eq!(inotify_watches(), if left == 0 { 0 } else { left + 1 });
        }
        assert_eq!((inotify_instances(), descriptors()), (0, before));
        gone().await;
    })
    .await;
}
