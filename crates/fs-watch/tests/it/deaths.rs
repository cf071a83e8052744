//! Ten thousand servers that die in one moment.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]
#![expect(clippy::print_stderr, reason = "what is skipped is said")]

use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_watch::directory::Sweep;
use fs_watch::{Event, Reason, Watcher};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

const SERVERS: usize = 10_000;

/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// In memory, where that many are made in no time.
fn scene() -> Option<(TempDir, Vec<UnixListener>)> {
    let hard = getrlimit(Resource::Nofile);
    let needed = SERVERS as u64 + 200;
    if hard.maximum.is_some_and(|most| most < needed) {
        eprintln!("SKIPPED: {needed} descriptors are not to be had");
        return None;
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), ..hard }).unwrap();
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
    let servers = (0..SERVERS).map(|number| UnixListener::bind(dir.path().join(number.to_string())).unwrap()).collect();
    Some((dir, servers))
}

async fn until_ready(watcher: &mut Watcher) {
    let mut ready = 0;
    while ready < SERVERS {
        let event = tokio::time::timeout(LIMIT, watcher.next()).await.expect("all are ready in the end");
        ready += usize::from(matches!(event.unwrap(), Event::Ready(_)));
    }
}

#[tokio::test]
async fn ten_thousand_that_die_at_once_are_noticed_and_stale_once_each() {
    // It needs as many descriptors.
    test_kit::alone!();
    all_are_stale_once_each_for_whoever_asks().await;
    all_are_noticed_without_a_question().await;
}

async fn all_are_stale_once_each_for_whoever_asks() {
    let Some((dir, servers)) = scene() else { return };
    let mut watcher = Watcher::builder(dir.path()).safety_interval(Duration::from_secs(86_400)).start().await.unwrap();
    until_ready(&mut watcher).await;
    drop(servers);
    tokio::time::timeout(LIMIT, watcher.sync()).await.expect("a sync ends").unwrap();
    let mut stale: BTreeSet<PathBuf> = BTreeSet::new();
    while let Some(event) = watcher.try_next() {
        match event {
            Event::Removed { id, reason: Reason::Stale } => assert!(stale.insert(id.path), "one was removed twice"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stale.len(), SERVERS);
    let swept = Sweep::default().min_age(Duration::ZERO).without_grace().run(dir.path()).unwrap();
    assert_eq!(swept.removed(), SERVERS);
    tokio::time::timeout(LIMIT, watcher.sync()).await.expect("a sync ends").unwrap();
    // They were taken back before.
    assert_eq!(watcher.try_next(), None);
    watcher.shutdown().await;
}

async fn all_are_noticed_without_a_question() {
    let Some((dir, servers)) = scene() else { return };
    let mut watcher = Watcher::builder(dir.path()).safety_interval(Duration::from_millis(200)).start().await.unwrap();
    until_ready(&mut watcher).await;
    drop(servers);
    let mut stale = 0;
    while stale < SERVERS {
        let event = tokio::time::timeout(LIMIT, watcher.next()).await.expect("all are noticed in the end");
        stale += usize::from(matches!(event.unwrap(), Event::Removed { reason: Reason::Stale, .. }));
    }
    watcher.shutdown().await;
}
