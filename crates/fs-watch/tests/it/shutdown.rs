//! After `shutdown` nothing is left.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// A backend that does not answer for so long is left behind, and its threads end when they have their turn: what holds at
/// once where it answers holds a little later then.
const PATIENCE: Duration = Duration::from_secs(2);

/// notify's thread cannot be joined: it has done its last act, but the kernel may need a moment.
async fn gone(descriptors_before: usize) {
    while !threads().is_empty() || descriptors() != descriptors_before {
        tokio::task::yield_now().await;
    }
}

async fn bounded(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(55), test).await.expect("shutdown must end");
}

#[tokio::test]
async fn a_process_has_one_inotify_instance_and_after_shutdown_nothing() {
    test_kit::alone!();
    bounded(async {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..50 {
            undisturbed(async || one(dir.path()).await).await;
        }
        let dirs: Vec<_> = (0..100).map(|number| dir.path().join(number.to_string())).collect();
        dirs.iter().for_each(|dir| fs::create_dir(dir).unwrap());
        undisturbed(async || many(&dirs).await).await;
    })
    .await;
}

/// What a scene has found, and what it should have.
type Findings = Vec<(&'static str, usize, usize)>;

/// Repeats the scene until every part of it was fast enough that nothing was abandoned, as happens on a machine that
/// stalls.
async fn undisturbed(scene: impl AsyncFn() -> (Findings, Duration)) {
    let before = descriptors();
    loop {
        let (findings, slowest) = scene().await;
        gone(before).await;
        if slowest < PATIENCE {
            for (what, found, expected) in findings {
                assert_eq!(found, expected, "{what}");
            }
            return;
        }
    }
}

async fn one(dir: &Path) -> (Findings, Duration) {
    let before = descriptors();
    let began = Instant::now();
    let mut watcher = Watcher::start(dir).await.unwrap();
    watcher.next().await.unwrap();
    let alive = threads().len();
    watcher.shutdown().await;
    let findings = vec![
        ("threads: ours, and the one that reads events", alive, 2),
        ("descriptors after shutdown", descriptors(), before),
    ];
    (findings, began.elapsed())
}

async fn many(dirs: &[PathBuf]) -> (Findings, Duration) {
    let before = descriptors();
    let mut slowest = Duration::ZERO;
    let mut watchers = Vec::new();
    for dir in dirs {
        let began = Instant::now();
        watchers.push(Watcher::start(dir).await.unwrap());
        slowest = slowest.max(began.elapsed());
    }
    let mut findings = vec![
        ("instances", inotify_instances(), 1),
        ("threads: one each, and the one that reads events", threads().len(), dirs.len() + 1),
        ("watches: their directories, and the one above", inotify_watches(), dirs.len() + 1),
    ];
    // Also when directories change places: each is then watched under the other's name.
    for pair in [[0, 1], [1, 2], [0, 2]] {
        let began = Instant::now();
        let [one, other] = pair.map(|number| &dirs[number]);
        rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
        // Twice: a watcher that was told that its watch had gone to another name has armed again by then.
        for number in [pair, pair].concat() {
            watchers[number].sync().await.unwrap();
        }
        slowest = slowest.max(began.elapsed());
        findings.push(("instances after an exchange", inotify_instances(), 1));
        findings.push(("watches after an exchange", inotify_watches(), dirs.len() + 1));
    }
    while let Some(watcher) = watchers.pop() {
        let began = Instant::now();
        watcher.shutdown().await;
        slowest = slowest.max(began.elapsed());
        let left = watchers.len();
        findings.push(("watches of those that are left", inotify_watches(), if left == 0 { 0 } else { left + 1 }));
    }
    findings.push(("instances after the last", inotify_instances(), 0));
    findings.push(("descriptors after the last", descriptors(), before));
    (findings, slowest)
}
