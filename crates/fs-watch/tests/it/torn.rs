//! The kernel tells its table of sockets in pieces, and sockets that close in between can hide one that does not.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fs_watch::{Event, Watcher};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, socket};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const EACH: usize = 1500;

/// Binds, and does not listen.
fn bound(path: &Path) -> OwnedFd {
    let stream = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&stream, &SocketAddrUnix::new(path).unwrap()).unwrap();
    stream
}

/// Opens and closes sockets, many at a time, until it is dropped.
struct Storm {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Storm {
    fn begin(dir: &Path) -> Self {
        let (dir, stop) = (dir.to_owned(), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let path = |number: usize| dir.join(number.to_string());
            while !told.load(Ordering::Relaxed) {
                let sockets: Vec<_> = (0..EACH).map(|number| UnixDatagram::bind(path(number)).unwrap()).collect();
                drop(sockets);
                (0..EACH).for_each(|number| fs::remove_file(path(number)).unwrap());
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "the storm has failed");
    }
}

#[test]
fn whoever_a_torn_table_lacks_is_neither_gone_nor_disturbed() {
    // In its own network namespace, because our table also has the sockets of all other tests.
    for flags in ["-n", "-Urn"] {
        let is_allowed = Command::new("unshare").args([flags, "true"]).stderr(Stdio::null()).status();
        if is_allowed.is_ok_and(|status| status.success()) {
            let mut command = Command::new("unshare");
            command.arg(flags).arg(std::env::current_exe().unwrap());
            command.args(["torn::role_is_neither_gone_nor_disturbed", "--exact", "--ignored", "--nocapture"]);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "there is no such role");
            return;
        }
    }
    eprintln!("SKIPPED: no permission for `unshare -n`");
}

#[tokio::test]
#[ignore = "a role, for a network namespace of its own"]
async fn role_is_neither_gone_nor_disturbed() {
    let limit = getrlimit(Resource::Nofile);
    let needed = 3 * EACH as u64 + 200;
    if limit.maximum.is_some_and(|most| most < needed) {
        eprintln!("SKIPPED: {needed} descriptors are not to be had");
        return;
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), ..limit }).unwrap();
    let place = if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
    let (dir, others) = (tempfile::tempdir_in(&place).unwrap(), tempfile::tempdir_in(&place).unwrap());
    let listeners: Vec<_> = (0..EACH).map(|n| UnixListener::bind(dir.path().join(format!("l{n}"))).unwrap()).collect();
    let bound: Vec<_> = (0..EACH).map(|n| bound(&dir.path().join(format!("b{n}")))).collect();

    let mut watcher = Watcher::start(dir.path()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), watcher.sync()).await.unwrap().unwrap();
    while watcher.try_next().is_some() {}

    let storm = Storm::begin(others.path());
    let watching = async {
        for _ in 0..100 {
            watcher.sync().await.unwrap();
            while let Some(event) = watcher.try_next() {
                assert!(!matches!(event, Event::Removed { .. }), "{event:?}");
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(100), watching).await.expect("the watcher hangs");
    drop(storm);
    for listener in &listeners {
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "a client has connected");
    }
    drop(bound);
    watcher.shutdown().await;
}
