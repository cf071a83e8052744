//! A listener whose name is removed or replaced says so, and can take it again.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::time::timeout;
use uds_socket::{Accepted, Bind, BindError, Listener, NameLoss};

use super::place::{Place, inode, served_by};

/// Long enough for any machine; what it waits for is an event.
const LONG: Duration = Duration::from_secs(30);

async fn loss(listener: &mut Listener) -> NameLoss {
    match timeout(LONG, listener.next()).await.expect("it is told").unwrap() {
        Accepted::NameLost(loss) => loss,
        other => panic!("{other:?}"),
    }
}

async fn text_of(accepted: Accepted<UnixStream>) -> String {
    let Accepted::Connection(mut stream, _) = accepted else { panic!("{accepted:?}") };
    let mut text = String::new();
    UnixStream::read_to_string(&mut stream, &mut text).await.unwrap();
    text
}

fn send(path: &Path, text: &str) {
    StdStream::connect(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Out of the way of the next test.
fn move_away(directory: &Path) {
    let place = directory.ancestors().find(|above| above.ends_with("above")).unwrap().parent().unwrap();
    let _ = fs::remove_dir_all(place.join("moved"));
    fs::rename(directory, place.join("moved")).unwrap();
}

type Lose = fn(&Path);

const LOSSES: [(&str, Lose, NameLoss); 7] = [
    ("removed", |path| fs::remove_file(path).unwrap(), NameLoss::Removed),
    ("renamed", |path| fs::rename(path, path.with_file_name("elsewhere")).unwrap(), NameLoss::Removed),
    ("with its directory", |path| fs::remove_dir_all(path.parent().unwrap()).unwrap(), NameLoss::Removed),
    ("its directory was renamed", |path| move_away(path.parent().unwrap()), NameLoss::Removed),
    ("a directory above was renamed", |path| move_away(path.ancestors().nth(2).unwrap()), NameLoss::Removed),
    (
        "replaced by a file",
        |path| {
            fs::write(path.with_file_name("new"), "").unwrap();
            fs::rename(path.with_file_name("new"), path).unwrap();
        },
        NameLoss::Replaced,
    ),
    (
        "replaced by a socket",
        |path| {
            drop(StdListener::bind(path.with_file_name("new")).unwrap());
            fs::rename(path.with_file_name("new"), path).unwrap();
        },
        NameLoss::Replaced,
    ),
];

#[test]
fn every_way_to_lose_the_name_is_told_once() {
    let place = Place::new();
    for (how, lose, expected) in LOSSES {
        let directory = place.beside("above/d");
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("x.sock");
        let mut listener = place.listen(Bind::path(&path)).unwrap();
        assert!(listener.warnings().is_empty(), "{:?}", listener.warnings());
        assert_eq!(listener.name_loss(), None);
        send(&path, "before");
        place.runtime.block_on(async {
            lose(&path);
            assert_eq!(loss(&mut listener).await, expected, "{how}");
            assert_eq!(listener.name_loss(), Some(expected), "{how}");
            // Told once; and connections that were made are there even so.
            assert_eq!(text_of(listener.next().await.unwrap()).await, "before", "{how}");
            assert!(timeout(Duration::from_millis(20), listener.next()).await.is_err(), "{how}");
        });
        drop(listener);
        let _ = fs::remove_dir_all(place.beside("above"));
    }
}

/// A runtime without a clock: waiting for anything but an event would panic.
#[test]
fn a_listener_at_rest_waits_for_events_alone() {
    let mut place = Place::new();
    place.runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let (inner, outer) = (place.beside("above/d"), place.beside("above"));
    fs::create_dir_all(&inner).unwrap();
    let path = inner.join("x.sock");
    let mut listener = place.listen(Bind::path(&path)).unwrap();
    place.runtime.block_on(async {
        // What is done inside the directories above is nothing to it.
        for directory in [&inner, &outer] {
            fs::write(directory.join("other"), "").unwrap();
            fs::rename(directory.join("other"), directory.join("renamed")).unwrap();
        }
        let mut next = Box::pin(listener.next());
        for _ in 0..100 {
            assert!(poll_once(&mut next).await.is_none());
        }
        // There and back again, as seen from inside.
        fs::rename(&outer, place.beside("moved")).unwrap();
        let lost = next.await.unwrap();
        assert!(matches!(lost, Accepted::NameLost(NameLoss::Removed)), "{lost:?}");
        fs::rename(place.beside("moved"), &outer).unwrap();
        send(&path, "back");
        assert_eq!(text_of(listener.next().await.unwrap()).await, "back");
        fs::rename(&inner, place.beside("moved")).unwrap();
        let lost = listener.next().await.unwrap();
        assert!(matches!(lost, Accepted::NameLost(NameLoss::Removed)), "{lost:?}");
    });
}

/// Polls once, and lets the runtime look for events.
async fn poll_once<F: Future>(future: &mut std::pin::Pin<Box<F>>) -> Option<F::Output> {
    tokio::task::yield_now().await;
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// The second time through a directory that was not on the way when the listener began.
#[test]
fn a_link_above_that_leads_elsewhere_is_a_loss() {
    let place = Place::new();
    let link = place.beside("link");
    let point_at = |target: &str| {
        let _ = fs::remove_file(place.beside("new"));
        std::os::unix::fs::symlink(target, place.beside("new")).unwrap();
        fs::rename(place.beside("new"), &link).unwrap();
    };
    for directory in ["real/d", "elsewhere/d"] {
        fs::create_dir_all(place.beside(directory)).unwrap();
    }
    point_at("real");
    let path = link.join("d/x.sock");
    let mut listener = place.listen(Bind::path(&path)).unwrap();
    place.runtime.block_on(async {
        point_at("elsewhere");
        assert_eq!(loss(&mut listener).await, NameLoss::Removed);
        fs::rename(place.beside("real/d/x.sock"), place.beside("elsewhere/d/x.sock")).unwrap();
        assert_eq!(listener.name_loss(), None);
        send(&path, "by another way");
        assert_eq!(text_of(listener.next().await.unwrap()).await, "by another way");
        fs::rename(place.beside("elsewhere"), place.beside("gone")).unwrap();
        assert_eq!(loss(&mut listener).await, NameLoss::Removed);
    });
}

/// Such a directory can be passed and not watched.
#[test]
fn a_directory_above_that_may_not_be_read_is_no_obstacle() {
    let place = Place::public();
    let at = place.directory.path().to_owned();
    let inner = at.join("above/d");
    fs::create_dir_all(&inner).unwrap();
    fs::set_permissions(&inner, PermissionsExt::from_mode(0o777 | 0o1000)).unwrap();
    fs::set_permissions(at.join("above"), PermissionsExt::from_mode(0o711)).unwrap();
    test_kit::process::as_nobody(|| {
        let path = inner.join("x.sock");
        let mut listener = place.listen(Bind::path(&path)).unwrap();
        assert!(listener.warnings().is_empty(), "{:?}", listener.warnings());
        let there = fs::read_dir(at.join("above")).is_ok();
        assert!(!there || rustix::process::geteuid().as_raw() != test_kit::process::NOBODY, "it may be read");
        place.runtime.block_on(async {
            fs::remove_file(&path).unwrap();
            assert_eq!(loss(&mut listener).await, NameLoss::Removed);
        });
    });
}

#[test]
fn what_happens_beside_the_file_or_to_its_mode_is_no_loss() {
    let place = Place::new();
    let path = place.path();
    let mut listener = place.listen(Bind::path(&path)).unwrap();
    place.runtime.block_on(async {
        fs::write(place.beside("other"), "").unwrap();
        fs::remove_file(place.beside("other")).unwrap();
        fs::hard_link(&path, place.beside("link")).unwrap();
        fs::remove_file(place.beside("link")).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        send(&path, "still here");
        assert_eq!(text_of(listener.next().await.unwrap()).await, "still here");
    });
}

#[test]
fn where_there_are_no_events_the_loss_is_told_all_the_same() {
    // In a separate process, whose descriptors are scarce.
    test_kit::process::Actor::start("bind::name_loss::child_without_events").passes();
}

#[test]
#[ignore = "a process that another test starts"]
fn child_without_events() {
    // The kernel counts per user, and other tests give back what they have.
    test_kit::process::as_somebody(|| {
        use rustix::fs::inotify::{CreateFlags, init};
        let place = Place::public();
        let most = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").unwrap().trim().parse().unwrap();
        // All that this user may have, unless descriptors are out first.
        let hoard: Vec<_> = (0..most).map_while(|_| init(CreateFlags::CLOEXEC).ok()).collect();
        let mut listener = place.listen(Bind::path(place.path())).unwrap();
        drop(hoard);
        let [warning] = listener.warnings() else { panic!("{:?}", listener.warnings()) };
        assert!(matches!(warning, uds_socket::Warning::NoNameEvents { .. }), "{warning}");
        place.runtime.block_on(async {
            fs::remove_file(place.path()).unwrap();
            assert_eq!(loss(&mut listener).await, NameLoss::Removed);
        });
    });
}

#[test]
fn a_listener_takes_its_name_again_and_keeps_what_waits() {
    let place = Place::new();
    for (how, lose, _) in LOSSES {
        let directory = place.beside("above/d");
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("x.sock");
        let mut listener = place.listen(Bind::path(&path).mode("660".parse().unwrap())).unwrap();
        send(&path, "before");
        place.runtime.block_on(async {
            lose(&path);
            loss(&mut listener).await;
            // As long as its directory is gone, or a file is in the way, it cannot; and serves on.
            fs::create_dir_all(&directory).unwrap();
            if how == "replaced by a file" {
                let error = listener.rebind().unwrap_err();
                assert!(matches!(error, BindError::NotASocket { .. }), "{how}: {error}");
                fs::remove_file(&path).unwrap();
            }
            listener.rebind().unwrap_or_else(|error| panic!("{how}: {error}"));
            assert_eq!(listener.name_loss(), None, "{how}");
            assert_eq!(path.metadata().unwrap().permissions(), PermissionsExt::from_mode(0o140_660));
            let before = inode(&path);
            listener.rebind().unwrap();
            assert_eq!(inode(&path), before, "{how}: nothing is done as long as the name leads here");
            assert_eq!(served_by(&path), Some(std::process::id()), "{how}");
            send(&path, "after");
            assert_eq!(text_of(listener.next().await.unwrap()).await, "before", "{how}");
            assert_eq!(text_of(listener.next().await.unwrap()).await, "", "{how}: the connection of `served_by`");
            assert_eq!(text_of(listener.next().await.unwrap()).await, "after", "{how}");
            // The new name is watched as the first one was.
            fs::remove_file(&path).unwrap();
            assert_eq!(loss(&mut listener).await, NameLoss::Removed, "{how}");
            listener.rebind().unwrap();
            send(&path, "and again");
            let mut draining = listener.into_draining();
            assert_eq!(text_of(draining.next().await.unwrap().unwrap()).await, "and again", "{how}");
        });
        let left: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "elsewhere"), "{how}: {left:?}");
        fs::remove_dir_all(&directory).unwrap();
    }
}

#[test]
fn another_live_server_keeps_the_name() {
    let place = Place::new();
    let path = place.path();
    let mut listener = place.listen(Bind::path(&path)).unwrap();
    place.runtime.block_on(async {
        fs::remove_file(&path).unwrap();
        let other = StdListener::bind(&path).unwrap();
        let theirs = inode(&path);
        let loss = loss(&mut listener).await;
        assert_eq!(loss, NameLoss::Replaced);
        for _ in 0..3 {
            let error = listener.rebind().unwrap_err();
            assert!(matches!(error, BindError::InUse { .. }) && error.is_retryable(), "{error}");
        }
        assert_eq!(inode(&path), theirs);
        drop(other);
        super::place::until_stale(&path);
        listener.rebind().unwrap();
        send(&path, "ours again");
        assert_eq!(text_of(listener.next().await.unwrap()).await, "ours again");
    });

    // A cleaner that also removes the lock file lets another of our listeners bind.
    let mut second = place.runtime.block_on(async {
        fs::remove_file(&path).unwrap();
        fs::remove_file(place.beside(".x.sock.lock")).unwrap();
        Bind::path(&path).listen().unwrap()
    });
    let _guard = place.runtime.enter();
    for _ in 0..2 {
        let error = listener.rebind().unwrap_err();
        assert!(matches!(error, BindError::Locked { .. }), "{error}");
    }
    drop(listener);
    assert_eq!(place.names(), [".x.sock.lock", "x.sock"], "the first takes nothing of the second with it");
    send(&path, "to the second");
    assert_eq!(place.runtime.block_on(async { text_of(second.next().await.unwrap()).await }), "to the second");
}
