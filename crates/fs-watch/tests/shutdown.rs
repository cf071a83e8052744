//! After `shutdown` nothing is left. In a program of its own, because it counts what the process holds.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::time::Duration;

use fs_watch::Watcher;

fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // One may end between the listing and the reading.
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.starts_with("fs-watch") || name.starts_with("notify")).collect()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn shutdown_leaves_no_thread_and_no_descriptor() {
    let cycles = async {
        let dir = tempfile::tempdir().unwrap();
        let before = descriptors();
        for _ in 0..50 {
            let mut watcher = Watcher::start(dir.path()).await.unwrap();
            watcher.next().await.unwrap();
            assert_eq!(threads().len(), 3, "ours, its control, and notify's: {:?}", threads());
            watcher.shutdown().await;
            assert_eq!(descriptors(), before);
            // notify's thread cannot be joined: it has done its last act, but the kernel may need a moment.
            while !threads().is_empty() {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), cycles).await.expect("shutdown must end");
}
