//! A process that has no descriptors left sees nothing, and must not take that for emptiness.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs::File;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_watch::backend::Polling;
use fs_watch::{Error, Event, Watcher, Why};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

async fn next(watcher: &mut Watcher) -> Event {
    let next = tokio::time::timeout(Duration::from_secs(20), watcher.next()).await;
    next.expect("an event must come").expect("the watcher must live")
}

/// Every descriptor the process may still open, and those that others close meanwhile: what is looking at this
/// moment holds one, and gives it back after the first pass.
#[derive(Default)]
struct Hoard(Vec<File>);

impl Hoard {
    fn take_all(&mut self) {
        self.0.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
    }

    /// Takes what there is, again and again, until the watcher has something to say.
    async fn take_until_next(&mut self, watcher: &mut Watcher) -> Event {
        let taking = async {
            loop {
                self.take_all();
                let next = tokio::time::timeout(Duration::from_millis(1), watcher.next()).await;
                if let Ok(event) = next {
                    break event.expect("the watcher must live");
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), taking).await.expect("an event must come")
    }

    /// Takes what is there, again and again, until a requested scan has failed.
    async fn take_until_blind(&mut self, watcher: &Watcher) -> Error {
        let taking = async {
            loop {
                self.take_all();
                if let Err(error) = watcher.sync().await {
                    break error;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), taking).await.expect("a scan must fail")
    }
}

#[tokio::test]
async fn without_descriptors_nothing_is_removed() {
    test_kit::alone!();
    let hard = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(128), ..hard }).unwrap();
    let places = [std::env::temp_dir(), PathBuf::from("/dev/shm")];
    for place in places.iter().filter(|place| place.is_dir()) {
        nothing_is_removed(place).await;
    }
}

async fn nothing_is_removed(place: &Path) {
    let dir = tempfile::tempdir_in(place).unwrap();
    let _listener = UnixListener::bind(dir.path().join("a")).unwrap();
    let polling = Polling::every(Duration::from_millis(5));
    let mut watcher = Watcher::builder(dir.path()).backend(polling).start().await.unwrap();
    while !matches!(next(&mut watcher).await, Event::Ready(_)) {}

    let mut taken = Hoard::default();
    let degraded = taken.take_until_next(&mut watcher).await;
    assert!(matches!(degraded, Event::Degraded(Why::Unreadable { .. })), "{degraded:?}");
    taken.take_all();
    let error = Watcher::start(dir.path()).await.unwrap_err();
    assert!(matches!(&error, Error::Unreadable { .. }) && error.is_retryable(), "{error:?}");

    drop(taken);
    assert_eq!(next(&mut watcher).await, Event::Resynced);
    std::fs::remove_file(dir.path().join("a")).unwrap();
    assert!(matches!(next(&mut watcher).await, Event::Removed { .. }));
    watcher.shutdown().await;

    // Events still report single names, but a request for all of them fails.
    let _early = UnixListener::bind(dir.path().join("early")).unwrap();
    let mut watcher = Watcher::builder(dir.path()).safety_interval(Duration::from_secs(86_400)).start().await.unwrap();
    while !matches!(next(&mut watcher).await, Event::Ready(_)) {}
    let mut taken = Hoard::default();
    taken.take_all();
    taken.0.pop();
    let _late = UnixListener::bind(dir.path().join("b")).unwrap();
    let added = taken.take_until_next(&mut watcher).await;
    assert!(matches!(&added, Event::Added(socket) if socket.path.ends_with("b")), "{added:?}");
    let error = taken.take_until_blind(&watcher).await;
    assert!(matches!(error, Error::Blind { .. }), "{error:?}");
    drop(taken);
    tokio::time::timeout(Duration::from_secs(20), watcher.sync()).await.unwrap().unwrap();
    let rest: Vec<_> = std::iter::from_fn(|| watcher.try_next()).collect();
    assert!(rest.iter().any(|event| matches!(event, Event::Ready(socket) if socket.path.ends_with("b"))), "{rest:?}");
    assert!(!rest.iter().any(|event| matches!(event, Event::Removed { .. })), "{rest:?}");
    watcher.shutdown().await;
}
