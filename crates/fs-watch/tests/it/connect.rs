//! `connect_at` reaches the socket that was listed, or says why not.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fs_watch::{ConnectError, Event, Owner, Socket, Watcher, connect_at, connect_at_owned_by};
use tempfile::TempDir;

/// The sockets that are there, by a watcher's listing.
async fn listed(dir: &Path) -> Vec<Socket> {
    let mut watcher = Watcher::start(dir).await.unwrap();
    let mut sockets = Vec::new();
    loop {
        match watcher.next().await.unwrap() {
            Event::InitApply(socket) => sockets.push(socket),
            Event::InitDone => break,
            _ => {}
        }
    }
    watcher.shutdown().await;
    sockets
}

/// The one that is there.
async fn the_one_in(dir: &Path) -> Socket {
    listed(dir).await.pop().unwrap()
}

struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("a.sock")
    }

    async fn listed(&self) -> Socket {
        the_one_in(self.dir.path()).await
    }
}

#[tokio::test]
async fn the_socket_that_was_listed_is_reached_and_does_not_block() {
    let scene = Scene::new();
    let listener = UnixListener::bind(scene.path()).unwrap();
    let mut stream = connect_at(&scene.listed().await).unwrap();
    let blocked = stream.read(&mut [0]).unwrap_err();
    assert_eq!(blocked.kind(), std::io::ErrorKind::WouldBlock);
    stream.write_all(b"x").unwrap();
    let mut byte = [0];
    listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"x");
}

#[tokio::test]
async fn a_chmod_makes_no_other_socket_of_it() {
    let scene = Scene::new();
    let _listener = UnixListener::bind(scene.path()).unwrap();
    let socket = scene.listed().await;
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o600)).unwrap();
    connect_at(&socket).unwrap();
}

#[tokio::test]
async fn every_obstacle_has_its_error() {
    /// What it is, how it comes about, which error it has, and whether to try again.
    type Case = (&'static str, fn(&Path), fn(&ConnectError) -> bool, bool);
    let cases: [Case; 8] = [
        ("no process listens", |_| {}, |error| matches!(error, ConnectError::Refused { .. }), true),
        ("gone", |path| fs::remove_file(path).unwrap(), |error| matches!(error, ConnectError::Gone { .. }), false),
        (
            "the whole directory is gone",
            |path| fs::remove_dir_all(path.parent().unwrap()).unwrap(),
            |error| matches!(error, ConnectError::Gone { .. }),
            false,
        ),
        (
            "another socket",
            |path| {
                fs::remove_file(path).unwrap();
                drop(UnixListener::bind(path).unwrap());
            },
            |error| matches!(error, ConnectError::Replaced { .. }),
            false,
        ),
        (
            "a file",
            |path| {
                fs::remove_file(path).unwrap();
                fs::write(path, "").unwrap();
            },
            |error| matches!(error, ConnectError::Replaced { .. }),
            false,
        ),
        (
            "a link to the same socket",
            |path| {
                let aside = path.with_file_name(".aside");
                fs::rename(path, &aside).unwrap();
                symlink(&aside, path).unwrap();
            },
            |error| matches!(error, ConnectError::Replaced { .. }),
            false,
        ),
        (
            "a directory",
            |path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            },
            |error| matches!(error, ConnectError::Replaced { .. }),
            false,
        ),
        (
            "a link that leads to itself",
            |path| {
                fs::remove_file(path).unwrap();
                symlink(path, path).unwrap();
            },
            |error| matches!(error, ConnectError::Replaced { .. }),
            false,
        ),
    ];
    for (what, prepare, expected, is_retryable) in cases {
        let scene = Scene::new();
        // Stale, if nothing else is done to it.
        drop(UnixListener::bind(scene.path()).unwrap());
        let socket = scene.listed().await;
        prepare(&scene.path());
        let error = connect_at(&socket).unwrap_err();
        assert!(expected(&error), "{what}: {error:?}");
        assert_eq!(error.is_retryable(), is_retryable, "{what}");
    }
}

#[tokio::test]
async fn a_full_queue_is_said_and_not_waited_for() {
    let scene = Scene::new();
    let _listener = {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
        let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(scene.path()).unwrap()).unwrap();
        listen(&listener, 0).unwrap();
        listener
    };
    let socket = scene.listed().await;
    let mut waiting = Vec::new();
    let error = loop {
        match connect_at(&socket) {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
        assert!(waiting.len() < 16, "the queue has an end");
    };
    assert!(matches!(error, ConnectError::Busy { .. }), "{error:?}");
}

#[tokio::test]
async fn a_datagram_socket_is_the_wrong_type() {
    let scene = Scene::new();
    let _socket = UnixDatagram::bind(scene.path()).unwrap();
    let error = connect_at(&scene.listed().await).unwrap_err();
    assert!(matches!(error, ConnectError::WrongType { .. }), "{error:?}");
}

#[tokio::test]
async fn the_owner_must_be_the_one_expected() {
    let scene = Scene::new();
    let _listener = UnixListener::bind(scene.path()).unwrap();
    let socket = scene.listed().await;
    let own = socket.facts.uid;
    for (owner, admitted) in
        [(Owner::Trusted, true), (Owner::Uid(own), true), (Owner::Anybody, true), (Owner::Uid(own + 1), false)]
    {
        match connect_at_owned_by(&socket, owner) {
            Ok(_) => assert!(admitted, "{owner:?}"),
            Err(ConnectError::WrongOwner { uid, .. }) => assert!(!admitted && uid == own, "{owner:?}"),
            Err(error) => panic!("{owner:?}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_path_longer_than_an_address_is_reached() {
    let scene = Scene::new();
    let listener = UnixListener::bind(scene.path()).unwrap();
    let deep = scene.dir.path().join("d".repeat(200));
    fs::create_dir(&deep).unwrap();
    let path = deep.join("n".repeat(200));
    fs::rename(scene.path(), &path).unwrap();
    let socket = the_one_in(&deep).await;
    assert_eq!(socket.path, path);
    connect_at(&socket).unwrap();
    listener.accept().unwrap();
}

/// Ends the other thread.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two servers exchange their names without pause. A connection always reaches the one that was listed.
#[tokio::test]
async fn swapping_the_name_leads_nowhere() {
    let scene = Scene::new();
    let (path, aside) = (scene.path(), scene.dir.path().join(".aside"));
    let mine = UnixListener::bind(&path).unwrap();
    let socket = scene.listed().await;
    let other = UnixListener::bind(&aside).unwrap();
    other.set_nonblocking(true).unwrap();
    mine.set_nonblocking(true).unwrap();
    let over = AtomicBool::new(false);
    let (mut reached, mut replaced) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, &path, CWD, &aside, RenameFlags::EXCHANGE).unwrap();
            }
        });
        // Also when this thread panics.
        let _over = SetWhenDropped(&over);
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while (reached < 1000 || replaced < 1000) && std::time::Instant::now() < until {
            match connect_at(&socket) {
                Ok(_) => {
                    reached += 1;
                    mine.accept().expect("it was this one that was reached");
                }
                Err(ConnectError::Replaced { .. }) => replaced += 1,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let none = other.accept().unwrap_err();
    assert_eq!(none.kind(), std::io::ErrorKind::WouldBlock, "the other one was never connected to");
    assert!(reached >= 1000 && replaced >= 1000, "both happened: {reached}, {replaced}");
}
