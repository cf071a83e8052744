//! Permissions that are taken away and given back. They do not stop root, so the tests run as an ordinary user.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs::{self, Permissions};
use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use fs_watch::backend::{Polling, Scripted};
use fs_watch::{Answer, Builder, Error, Event, Evidence, Probing, Verdict, Watcher, Why};
use test_kit::process;

/// With the credentials of an ordinary user, if this process is root.
fn as_nobody(test: impl Future<Output = ()> + Send) {
    process::as_nobody(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(30), test).await.expect("the test hangs");
        });
    });
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// On the disk's filesystem and on the one in memory.
fn everywhere(test: fn(&Path)) {
    test(&on_disk());
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        test(memory);
    }
}

/// Where temporary files go and others may pass, which is not so everywhere.
fn on_disk() -> PathBuf {
    let is_passable = |place: &PathBuf| {
        let passes = |part: &Path| part.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0);
        place.canonicalize().is_ok_and(|place| place.ancestors().all(passes))
    };
    let places = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
    places.into_iter().find(is_passable).expect("a place for temporary files that is for everybody")
}

/// With the kernel's events, and by polling alone.
fn builders(dir: &Path) -> [Builder; 2] {
    [Watcher::builder(dir), Watcher::builder(dir).backend(Polling::every(Duration::from_millis(5)))]
}

/// A separate directory below one that every user may enter.
fn directory(place: &Path) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir_in(place).unwrap();
    chmod(root.path(), 0o755);
    let dir = root.path().join("sockets");
    fs::create_dir(&dir).unwrap();
    chmod(&dir, 0o755);
    (root, dir)
}

/// A thread that has given nothing up, and changes the directory's mode when told.
struct Owner {
    modes: mpsc::Sender<(u32, mpsc::Sender<()>)>,
}

impl Owner {
    fn start(dir: &Path) -> Self {
        let (modes, wanted) = mpsc::channel::<(u32, mpsc::Sender<()>)>();
        let dir = dir.to_owned();
        std::thread::spawn(move || {
            for (mode, done) in wanted {
                chmod(&dir, mode);
                done.send(()).unwrap();
            }
        });
        Self { modes }
    }

    fn chmod(&self, mode: u32) {
        let (done, wait) = mpsc::channel();
        self.modes.send((mode, done)).unwrap();
        wait.recv().unwrap();
    }
}

async fn next(watcher: &mut Watcher) -> Event {
    watcher.next().await.unwrap()
}

#[test]
fn trap_13_a_directory_closed_to_us_removes_nothing_until_it_is_open_again() {
    everywhere(a_directory_closed_to_us_removes_nothing_until_it_is_open_again);
}

fn a_directory_closed_to_us_removes_nothing_until_it_is_open_again(place: &Path) {
    let (_root, dir) = directory(place);
    let _listener = UnixListener::bind(dir.join("a")).unwrap();
    let owner = Owner::start(&dir);
    as_nobody(async move {
        for builder in builders(&dir) {
            let mut watcher = builder.probing(Probing::Off).start().await.unwrap();
            while next(&mut watcher).await != Event::InitDone {}
            owner.chmod(0o000);
            let degraded = next(&mut watcher).await;
            assert!(matches!(degraded, Event::Degraded(Why::Unreadable { .. })), "{degraded:?}");
            assert!(matches!(watcher.sync().await, Err(Error::Blind { .. })));
            owner.chmod(0o755);
            // A scan that was already running may have seen the directory readable, and still have failed to arm a
            // watch.
            let resynced = loop {
                match next(&mut watcher).await {
                    Event::Degraded(Why::Unreadable { .. }) => {}
                    other => break other,
                }
            };
            assert_eq!(resynced, Event::Resynced);
            watcher.sync().await.unwrap();
            assert_eq!(watcher.try_next(), None);
            watcher.shutdown().await;
        }
    });
}

#[test]
fn a_name_that_was_hinted_at_is_found_although_the_listing_lacks_it() {
    let (_root, dir) = directory(&on_disk());
    let owner = Owner::start(&dir);
    // Only the owner of a file may link to it.
    chmod(&dir, 0o1777);
    let path = dir.join("a");
    let bind = path.clone();
    let listener = std::sync::OnceLock::new();
    let (backend, script) = Scripted::new();
    as_nobody(async {
        // More than wait for a consumer before the watcher rests: so it hears of a name and of the barrier at once.
        let _early = UnixListener::bind(dir.join("0")).unwrap();
        for number in 1..1_100 {
            fs::hard_link(dir.join("0"), dir.join(number.to_string())).unwrap();
        }
        let builder = Watcher::builder(&dir).backend(backend).probing(Probing::Off);
        let mut watcher = builder.safety_interval(Duration::from_secs(86_400)).start().await.unwrap();
        // It can be passed through, and not be listed: a listing that lacks everything, whatever the reason.
        owner.chmod(0o1733);
        listener.set(UnixListener::bind(bind).unwrap()).unwrap();
        script.hints().unwrap().name("a");
        assert!(matches!(watcher.sync().await, Err(Error::Blind { .. })));
        while next(&mut watcher).await != Event::InitDone {}
        let degraded = next(&mut watcher).await;
        assert!(matches!(degraded, Event::Degraded(Why::Unreadable { .. })), "{degraded:?}");
        let added = next(&mut watcher).await;
        assert!(matches!(&added, Event::Added(socket) if socket.path == path), "{added:?}");
        watcher.shutdown().await;
    });
}

#[test]
fn trap_15_an_unreadable_directory_is_rejected_with_a_reason() {
    everywhere(an_unreadable_directory_is_rejected_with_a_reason);
}

fn an_unreadable_directory_is_rejected_with_a_reason(place: &Path) {
    let (_root, dir) = directory(place);
    chmod(&dir, 0o711);
    as_nobody(async move {
        for builder in builders(&dir) {
            let error = builder.start().await.unwrap_err();
            assert!(matches!(&error, Error::Unreadable { .. }) && error.to_string().contains("permission"), "{error}");
        }
    });
}

#[test]
fn trap_06_a_socket_that_may_not_be_written_to_is_unknown_unless_the_table_has_it() {
    everywhere(a_socket_that_may_not_be_written_to_is_unknown_unless_the_table_has_it);
}

fn a_socket_that_may_not_be_written_to_is_unknown_unless_the_table_has_it(place: &Path) {
    let (_root, dir) = directory(place);
    let living = UnixListener::bind(dir.join("living")).unwrap();
    drop(UnixListener::bind(dir.join("dead")).unwrap());
    chmod(&dir.join("living"), 0o600);
    chmod(&dir.join("dead"), 0o600);
    as_nobody(async move {
        for builder in builders(&dir) {
            let mut watcher = builder.start().await.unwrap();
            watcher.sync().await.unwrap();
            let events: Vec<_> = std::iter::from_fn(|| watcher.try_next()).collect();
            let ready = events
                .iter()
                .filter(|event| matches!(event, Event::Ready(socket) if socket.path == dir.join("living")));
            assert_eq!(ready.count(), 1);
            assert!(!events.iter().any(|event| matches!(event, Event::Removed { .. })), "{events:?}");
            let unknown = events.iter().any(|event| match event {
                Event::InitApply(socket) => socket.liveness.verdict == Verdict::Unknown,
                Event::Ready(socket) => socket.liveness.evidence == Evidence::Connect(Answer::Denied),
                _ => false,
            });
            assert!(unknown);
            watcher.shutdown().await;
        }
    });
    drop(living);
}
