//! A watcher of a directory in which nothing happens wakes once in each safety interval, and nothing it does wakes it
//! again.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_watch::backend::Polling;
use fs_watch::{Builder, Event, Watcher};

const SOCKETS: usize = 1_000;
const INTERVAL: Duration = Duration::from_millis(100);
const INTERVALS: u32 = 15;

/// How often each of our threads has gone to sleep, by the kernel's count.
fn sleeps() -> BTreeMap<String, u64> {
    let mut sleeps = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim_start_matches(':').trim().to_owned()
        };
        let name = field("Name");
        if name.starts_with("fs-watch") || name.starts_with("notify") {
            *sleeps.entry(name).or_default() += field("voluntary_ctxt_switches").parse::<u64>().unwrap();
        }
    }
    sleeps
}

/// How often each has woken in between.
fn woken<'a>(before: &BTreeMap<String, u64>, after: &'a BTreeMap<String, u64>) -> BTreeMap<&'a str, u64> {
    after.iter().map(|(name, count)| (name.as_str(), count - before[name])).collect()
}

#[tokio::test]
async fn trap_12_an_idle_watcher_wakes_once_an_interval_and_not_otherwise() {
    // It counts what the kernel says of the process's threads.
    test_kit::alone!();
    let places = [std::env::temp_dir(), PathBuf::from("/dev/shm")];
    for place in places.iter().filter(|place| place.is_dir()) {
        let root = tempfile::tempdir_in(place).unwrap();
        // Beside nothing else: what happens next to the directory itself concerns a watcher.
        let dir = root.path().join("sockets");
        fs::create_dir(&dir).unwrap();
        an_idle_watcher_wakes_once_an_interval(&dir, Watcher::builder(&dir).safety_interval(INTERVAL)).await;
        fs::remove_dir_all(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
        an_idle_watcher_wakes_once_an_interval(&dir, Watcher::builder(&dir).backend(Polling::every(INTERVAL))).await;
    }
}

async fn an_idle_watcher_wakes_once_an_interval(dir: &Path, builder: Builder) {
    let path = |number: usize| dir.join(number.to_string());
    let listener = UnixListener::bind(path(0)).unwrap();
    for number in 1..SOCKETS {
        // A hard link to a socket is a socket.
        fs::hard_link(path(0), path(number)).unwrap();
    }
    let mut watcher = builder.start().await.unwrap();
    let mut ready = 0;
    while ready < SOCKETS {
        let event = tokio::time::timeout(Duration::from_secs(20), watcher.next()).await;
        ready += usize::from(matches!(event.expect("all are ready soon").unwrap(), Event::Ready(_)));
    }
    until_at_rest(dir).await;

    let (before, began) = (sleeps(), Instant::now());
    tokio::time::sleep(INTERVAL * INTERVALS).await;
    let (after, took) = (sleeps(), began.elapsed());

    let woken = woken(&before, &after);
    // Each interval comes up to a tenth early.
    let ticks = took.as_millis() as u64 / (INTERVAL.as_millis() as u64 * 9 / 10) + 1;
    assert!((1..=ticks).contains(&woken["fs-watch"]), "{woken:?} in {took:?}");
    let others: u64 = woken.iter().filter(|(name, _)| **name != "fs-watch").map(|(_, count)| count).sum();
    assert_eq!(others, 0, "the kernel has told us of our own doings: {woken:?}");
    assert_eq!(watcher.try_next(), None);
    watcher.shutdown().await;
    drop(listener);
}

/// The times of a change that has just happened may equal those of one that is happening now. So for a second there are
/// full scans, which the kernel reports to every process that watches. After that there must not be any: no thread
/// except ours wakes while it scans five times.
async fn until_at_rest(dir: &Path) {
    let rest = async {
        let made = fs::metadata(dir).unwrap().modified().unwrap();
        while made.elapsed().unwrap_or_default() < Duration::from_secs(1) {
            tokio::time::sleep(INTERVAL).await;
        }
        let mut before = sleeps();
        loop {
            tokio::time::sleep(INTERVAL).await;
            let after = sleeps();
            let woken = woken(&before, &after);
            if woken.iter().any(|(name, count)| *name != "fs-watch" && *count > 0) {
                before = after;
            } else if woken["fs-watch"] >= 5 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), rest).await.expect("a watcher of what does not change comes to rest");
}
