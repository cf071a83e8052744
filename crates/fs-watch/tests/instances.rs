//! A user who has no inotify instance left: sockets are found by looking, and that is said once. In a program of its own,
//! because it takes all of them.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]
#![expect(clippy::print_stderr, reason = "what is skipped is said")]

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use fs_watch::backend::{Inotify, Notify};
use fs_watch::{Backend, Event, Watcher, Why};
use rustix::fs::inotify::{CreateFlags, init};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const LIMIT: Duration = Duration::from_secs(30);

/// Longer than it takes until the third attempt to arm.
const WATCHED: Duration = Duration::from_secs(2);

#[tokio::test]
async fn without_an_inotify_instance_there_is_one_warning_and_everything_is_found() {
    let hard = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: hard.maximum, ..hard }).unwrap();
    for backend in [Box::new(Inotify::default()) as Box<dyn Backend>, Box::new(Notify::default())] {
        one_warning(backend).await;
    }
}

async fn one_warning(backend: Box<dyn Backend>) {
    let mut taken: Vec<OwnedFd> = std::iter::from_fn(|| init(CreateFlags::CLOEXEC).ok()).take(100_000).collect();
    if taken.len() == 100_000 {
        eprintln!("SKIPPED: this user may have any number of inotify instances");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut watcher = Watcher::builder(dir.path()).backend(Boxed(backend)).start().await.unwrap();
    let _listener = UnixListener::bind(dir.path().join("a")).unwrap();
    let began = Instant::now();
    let (mut warnings, mut added) = (Vec::new(), 0);
    while began.elapsed() < WATCHED {
        match tokio::time::timeout(WATCHED, watcher.next()).await {
            Ok(Some(Event::Degraded(why))) => warnings.push(why),
            Ok(Some(Event::Added(_))) => added += 1,
            Ok(Some(Event::Removed { .. } | Event::Resynced) | None) => panic!("nothing of this happened"),
            Ok(Some(_)) | Err(_) => {}
        }
    }
    assert!(matches!(&warnings[..], [Why::LimitReached { .. }]), "{warnings:?}");
    assert_eq!(added, 1);
    // There is room again.
    taken.clear();
    let resynced = async { while watcher.next().await.unwrap() != Event::Resynced {} };
    tokio::time::timeout(LIMIT, resynced).await.expect("the end of it is told");
    watcher.shutdown().await;
}

/// A backend behind a pointer.
struct Boxed(Box<dyn Backend>);

impl Backend for Boxed {
    fn arm(&mut self, target: &fs_watch::Target, hints: &fs_watch::Hints) -> Result<(), Why> {
        self.0.arm(target, hints)
    }

    fn disarm(&mut self) {
        self.0.disarm();
    }
}
