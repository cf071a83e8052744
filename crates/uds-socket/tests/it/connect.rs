//! Reaching servers: at once or within a deadline, and errors that say what is in the way.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{self, Permissions};
use std::future::Future;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, bind, listen, shutdown, socket_with,
};
use test_kit::process::{Actor, Watchdog, as_nobody, public_directory};
use uds_socket::{AddressError, Connect, ConnectError, Denied, FileKind, Peer};

const SOON: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_secs(30);

/// A listener whose queue has room for the first client only.
fn full(path: &Path) -> (UnixListener, std::os::unix::net::UnixStream) {
    let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&listener, &SocketAddrUnix::new(path).unwrap()).unwrap();
    listen(&listener, 0).unwrap();
    (listener.into(), Connect::path(path).connect_blocking().unwrap())
}

/// A socket on which no process listens any more. A process that another test is starting also has it for a moment, but no
/// client can connect to that one either.
fn leave(listener: UnixListener) {
    shutdown(&listener, Shutdown::Both).unwrap();
}

#[tokio::test]
async fn without_a_deadline_a_failure_is_immediate_and_says_what_to_do() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");

    let error = Connect::path(&path).connect().await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::NotThere { missing, waited: Duration::ZERO, .. } if *missing == path),
        "{error}"
    );
    let text = error.to_string();
    assert!(text.starts_with("there is no ") && text.contains("start its server"), "{text}");
    assert!(!text.contains("after"), "{text}");

    let nested = directory.path().join("a/b/x.sock");
    let error = Connect::path(&nested).connect().await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::NotThere { missing, .. } if *missing == directory.path().join("a")),
        "{error}"
    );

    leave(UnixListener::bind(&path).unwrap());
    let error = Connect::path(&path).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::NotListening { .. }), "{error}");

    fs::remove_file(&path).unwrap();
    let _full = full(&path);
    let error = Connect::path(&path).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::QueueFull { .. }), "{error}");
    assert!(error.is_retryable());
}

/// A socket that is bound and does not listen.
fn bound(kind: SocketType, address: &SocketAddrUnix) -> std::os::fd::OwnedFd {
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, address).unwrap();
    socket
}

/// One of each: a path, a link to one, a path that is too long for an address.
fn bound_everywhere(directory: &Path) -> Vec<(Connect, std::os::fd::OwnedFd)> {
    let at = |name: &str| directory.join(name);
    let path = bound(SocketType::STREAM, &SocketAddrUnix::new(at("path")).unwrap());
    symlink(at("target"), at("link")).unwrap();
    let target = bound(SocketType::STREAM, &SocketAddrUnix::new(at("target")).unwrap());
    let deep = at(&"d".repeat(120));
    fs::create_dir(&deep).unwrap();
    let long = bound(SocketType::STREAM, &SocketAddrUnix::new(at("s")).unwrap());
    fs::rename(at("s"), deep.join("s")).unwrap();
    vec![(Connect::path(at("path")), path), (Connect::path(at("link")), target), (Connect::path(deep.join("s")), long)]
}

/// A server needs a moment between `bind` and `listen`. The name is there by then.
#[tokio::test]
async fn a_server_that_is_just_starting_is_waited_for_without_a_deadline() {
    let _watchdog = Watchdog::start();
    for slow in [0, 5, 50] {
        let directory = tempfile::tempdir().unwrap();
        for (connect, server) in bound_everywhere(directory.path()) {
            let starting = std::thread::spawn(move || {
                // What a server may take that is preempted there.
                std::thread::sleep(Duration::from_millis(slow));
                listen(&server, 8).unwrap();
                server
            });
            let connected =
                if slow == 5 { connect.connect_blocking().map(drop) } else { connect.connect().await.map(drop) };
            connected.unwrap_or_else(|error| panic!("{connect:?}, {slow} ms: {error}"));
            drop(starting.join().unwrap());
        }
    }
}

#[tokio::test]
async fn a_server_of_packets_that_is_just_starting_is_waited_for_too() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let server = bound(SocketType::SEQPACKET, &SocketAddrUnix::new(&path).unwrap());
    let connect = Connect::path(&path);
    // The first attempt is refused: nothing else runs in this thread before the pause.
    let (connected, server) = tokio::join!(connect.connect_seqpacket(), async {
        listen(&server, 8).unwrap();
        server
    });
    connected.unwrap();
    drop(server);
}

#[tokio::test]
async fn a_server_that_never_listens_is_waited_for_as_long_as_it_may_be_starting() {
    let _watchdog = Watchdog::start();
    let start = Duration::from_millis(200);
    let directory = tempfile::tempdir().unwrap();
    let servers = bound_everywhere(directory.path());
    for (connect, _) in &servers {
        let began = Instant::now();
        let error = connect.connect().await.unwrap_err();
        assert!(
            matches!(error, ConnectError::NotListening { .. }) && began.elapsed() >= start,
            "{connect:?}: {error:?}"
        );
    }
    // Nothing is bound to this one, however young it is.
    let dead = directory.path().join("dead");
    leave(UnixListener::bind(&dead).unwrap());
    loop {
        // A process that another test is starting may have it too for a moment.
        let began = Instant::now();
        let error = Connect::path(&dead).connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::NotListening { .. }), "{error:?}");
        if began.elapsed() < start {
            break;
        }
    }
    // The age is part of the rule: after two seconds, a server that does not listen is not starting.
    std::thread::sleep(Duration::from_millis(2100));
    for (connect, _) in &servers {
        let began = Instant::now();
        let error = connect.connect().await.unwrap_err();
        assert!(
            matches!(error, ConnectError::NotListening { .. }) && began.elapsed() < start,
            "{connect:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn what_will_not_change_is_not_waited_for() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("file"), "").unwrap();
    symlink("file", at("link")).unwrap();
    let _datagrams = UnixDatagram::bind(at("datagrams")).unwrap();
    let began = Instant::now();

    let to = |name: &str| Connect::path(at(name)).deadline(LONG);
    for (name, expected) in [("file", FileKind::Regular), ("link", FileKind::Regular)] {
        let error = to(name).connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::NotASocket { kind, .. } if kind == expected), "{error}");
    }
    let error = Connect::path(directory.path()).deadline(LONG).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::NotASocket { kind: FileKind::Directory, .. }), "{error}");
    let error = to("datagrams").connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::WrongType { .. }), "{error}");
    let error = to("file/x.sock").connect().await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::Connect { source, .. } if source.kind() == std::io::ErrorKind::NotADirectory),
        "{error}"
    );
    assert!(matches!(to("a\0b").connect().await, Err(ConnectError::Address(AddressError::InvalidPath { .. }))));
    assert!(matches!(
        Connect::path("").deadline(LONG).connect().await,
        Err(ConnectError::Address(AddressError::InvalidPath { .. }))
    ));
    assert!(matches!(
        Connect::path("x".repeat(5000)).connect().await,
        Err(ConnectError::Address(AddressError::PathTooLong { len: 5000, .. }))
    ));
    assert!(matches!(
        Connect::abstract_name("").deadline(LONG).connect().await,
        Err(ConnectError::Address(AddressError::InvalidAbstractName { .. }))
    ));
    assert!(began.elapsed() < LONG);
}

#[tokio::test]
async fn a_deadline_is_kept_and_reported() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let began = Instant::now();
    let error = Connect::path(&path).deadline(SOON).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::NotThere { waited, .. } if waited >= SOON), "{error}");
    assert!(error.to_string().contains(" after "), "{error}");
    assert!(began.elapsed() >= SOON);

    let _full = full(&path);
    let error = Connect::path(&path).deadline(SOON).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::QueueFull { waited, .. } if waited >= SOON), "{error}");
    let error = Connect::path(&path).deadline(SOON).connect_blocking().unwrap_err();
    assert!(matches!(error, ConnectError::QueueFull { waited, .. } if waited >= SOON), "{error}");
}

#[tokio::test]
async fn a_server_that_comes_back_is_waited_for_through_every_state() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let connect = Connect::path(&path).deadline(LONG);
    let mut client = std::pin::pin!(connect.connect());
    assert!(poll_once(client.as_mut()).is_none()); // no file
    leave(UnixListener::bind(&path).unwrap());
    assert!(poll_once(client.as_mut()).is_none()); // no listener
    fs::remove_file(&path).unwrap();
    let (listener, first) = full(&path);
    assert!(poll_once(client.as_mut()).is_none()); // no room
    listener.accept().unwrap();
    drop(first);
    let client = client.await.unwrap();
    assert_eq!(Peer::of(&client).unwrap().pid(), Some(std::process::id()));
    listener.accept().unwrap();
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn a_dropped_attempt_leaves_no_connection() {
    let _watchdog = Watchdog::start();
    // In a separate process: other tests open and close things too.
    Actor::start("connect::child_that_drops_attempts").passes();
}

#[tokio::test]
#[ignore = "a process that another test starts"]
async fn child_that_drops_attempts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    for _ in 0..10 {
        let connect = Connect::path(&path).deadline(LONG);
        let mut client = Box::pin(connect.connect());
        assert!(poll_once(client.as_mut()).is_none());
        drop(client);
    }
    assert_eq!(descriptors(), before);
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_client_that_is_kept_out_learns_by_what() {
    let _watchdog = Watchdog::start();
    let directory = public_directory();
    let inner = directory.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("x.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let owner = path.metadata().unwrap().uid();
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let kept_out = || as_nobody(|| Connect::path(&path).deadline(LONG).connect_blocking());

    set(&path, 0o555);
    let error = kept_out().unwrap_err();
    assert!(
        matches!(&error, ConnectError::Denied(Denied { component, mode: 0o555, uid, .. }) if *component == path && *uid == owner),
        "{error}"
    );
    assert!(error.to_string().contains("(mode 0555, uid "), "{error}");
    assert!(error.to_string().ends_with("does not let this process write to the socket"), "{error}");
    assert!(!error.is_retryable());

    set(&inner, 0o600);
    let error = kept_out().unwrap_err();
    assert!(
        matches!(&error, ConnectError::Denied(Denied { component, mode: 0o600, .. }) if *component == inner),
        "{error}"
    );
    assert!(error.to_string().ends_with("does not let this process pass through"), "{error}");

    set(&inner, 0o711);
    set(&path, 0o666);
    kept_out().unwrap();
}

#[test]
fn a_long_path_is_reached_and_its_failures_are_named_too() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("directory/".repeat(100));
    fs::create_dir_all(&deep).unwrap();
    let path = deep.join("x.sock");
    let error = Connect::path(&path).connect_blocking().unwrap_err();
    assert!(matches!(&error, ConnectError::NotThere { missing, .. } if *missing == path), "{error}");

    let short = directory.path().join("x.sock");
    let listener = UnixListener::bind(&short).unwrap();
    fs::rename(&short, &path).unwrap();
    Connect::path(&path).connect_blocking().unwrap();
    leave(listener);
    let error = Connect::path(&path).connect_blocking().unwrap_err();
    assert!(matches!(error, ConnectError::NotListening { .. }), "{error}");
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    let error = Connect::path(&path).connect_blocking().unwrap_err();
    assert!(matches!(error, ConnectError::NotASocket { .. }), "{error}");
}

#[test]
fn a_blocking_stream_blocks_and_needs_no_runtime() {
    use std::io::{Read, Write};
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut client = Connect::path(&path).connect_blocking().unwrap();
    let echo = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"hello").unwrap());
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    echo.join().unwrap();
    assert_eq!(text, "hello");

    // The future says so instead of panicking.
    let connect = Connect::path(&path);
    let outside = poll_once(std::pin::pin!(connect.connect()));
    assert!(matches!(outside, Some(Err(ConnectError::NoRuntime(_)))));
}
