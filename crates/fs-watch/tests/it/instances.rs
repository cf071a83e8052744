//! A user without a free inotify instance: scans find the sockets, and this is reported once. In a user namespace of
//! its own, which has a limit of its own: other tests keep their instances.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::ffi::OsStr;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use fs_watch::backend::{Inotify, Notify};
use fs_watch::{Backend, Event, Watcher, Why};

const LIMIT: Duration = Duration::from_secs(30);

/// Longer than it takes until the third attempt to arm.
const WATCHED: Duration = Duration::from_secs(2);

/// How many instances this user namespace may have.
const INSTANCES: &str = "/proc/sys/user/max_inotify_instances";

#[test]
fn without_an_inotify_instance_there_is_one_warning_and_everything_is_found() {
    let inside = |arguments: &[&OsStr]| Command::new("unshare").args(["-U", "-r"]).args(arguments).output();
    if !inside(&["true".as_ref()]).is_ok_and(|tried| tried.status.success()) {
        eprintln!("SKIPPED: no user namespace may be made here");
        return;
    }
    let me = std::env::current_exe().unwrap();
    let role = ["instances::one_warning_for_each_backend", "--exact", "--ignored", "--nocapture"].map(OsStr::new);
    let output = inside(&[&[me.as_os_str()][..], &role].concat()).unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
#[ignore = "started by the other test, in a user namespace"]
async fn one_warning_for_each_backend() {
    for backend in [Box::new(Inotify::default()) as Box<dyn Backend>, Box::new(Notify::default())] {
        one_warning(backend).await;
    }
}

async fn one_warning(backend: Box<dyn Backend>) {
    std::fs::write(INSTANCES, "0").unwrap();
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
    std::fs::write(INSTANCES, "128").unwrap();
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
