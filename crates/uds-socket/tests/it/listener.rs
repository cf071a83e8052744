//! Accepting: through shortages, only from admitted peers, and at the end without losing connections in the queue.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use test_kit::process::{Actor, NOBODY, Watchdog, as_nobody, public_directory};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::timeout;
use uds_socket::{Accepted, Admit, Bind, BindError, Connect, ConnectError, Draining, Listener, Mode, Peer};

const A_MOMENT: Duration = Duration::from_millis(50);

/// Connects, sends `text` and closes.
fn send_and_leave(path: &Path, text: &str) {
    // Where many come at once the queue may be full for a moment.
    let connect = Connect::path(path).deadline(Duration::from_secs(30));
    connect.connect_blocking().unwrap().write_all(text.as_bytes()).unwrap();
}

async fn text_of((mut stream, _): (UnixStream, Peer)) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

async fn texts_of(mut draining: Draining) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(accepted) = draining.accept().await.unwrap() {
        texts.push(text_of(accepted).await);
    }
    texts
}

async fn no_client_comes(listener: &mut Listener) {
    assert!(timeout(A_MOMENT, listener.accept()).await.is_err());
}

#[tokio::test]
async fn connections_come_with_their_peer() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen().unwrap();
    let client = Connect::path(&path).connect().await.unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    assert_eq!((peer.uid(), peer.pid()), (rustix::process::geteuid().as_raw(), Some(std::process::id())));
    assert_eq!(peer, Peer::of(&server).unwrap());
    assert_eq!(listener.stats().accepted, 1);
    // The connector sees who called `listen`; here that is the same process.
    assert_eq!(Peer::of(&client).unwrap().pid(), Some(std::process::id()));
    if let Some(pidfd) = Peer::pidfd(&server).unwrap() {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).unwrap();
        assert!(info.lines().any(|line| line == format!("Pid:\t{}", std::process::id())), "{info}");
    }
}

#[tokio::test]
async fn a_task_of_its_own_can_accept_and_drain() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen().unwrap();
    send_and_leave(&path, "first");
    send_and_leave(&path, "second");
    let task = tokio::spawn(async move {
        let first = text_of(listener.accept().await.unwrap()).await;
        (first, texts_of(listener.into_draining()).await)
    });
    assert_eq!(task.await.unwrap(), ("first".to_owned(), vec!["second".to_owned()]));
}

#[tokio::test]
async fn a_peer_that_is_not_admitted_is_closed_on_and_counted() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).admit(Admit::none()).listen().unwrap();
    let mut client = Connect::path(&path).connect().await.unwrap();
    no_client_comes(&mut listener).await;
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "it sees the end");
    assert_eq!((listener.stats().accepted, listener.stats().rejected), (0, 1));
    assert_eq!(listener.stats().last_rejected.as_ref().and_then(Peer::pid), Some(std::process::id()));

    // Draining admits no other peers either.
    send_and_leave(&path, "refused");
    let mut draining = listener.into_draining();
    assert!(draining.accept().await.unwrap().is_none());
    assert_eq!(draining.stats().rejected, 2);
}

#[tokio::test]
async fn mode_and_admission_agree_unless_a_list_is_given() {
    let _watchdog = Watchdog::start();
    if !rustix::process::geteuid().is_root() {
        return skipped("takes root, to be another user");
    }
    let directory = public_directory();
    let path = directory.path().join("x.sock");
    let come = || as_nobody(|| drop(Connect::path(&path).connect_blocking().unwrap()));
    let bind = || Bind::path(&path);

    // As the file permits: its group's mode admits the group, everyone's mode admits everyone, ownership the owner.
    for open in [
        bind().mode(Mode::GROUP).group(NOBODY),
        bind().mode(Mode::EVERYONE),
        bind().mode(Mode::octal("602").unwrap()),
        bind().owner(NOBODY),
    ] {
        let mut listener = open.listen().unwrap();
        come();
        assert_eq!(listener.accept().await.unwrap().1.uid(), NOBODY);
    }

    // A list is a list, whatever the mode.
    for (admit, is_admitted) in [(Admit::own(), false), (Admit::none().gid(NOBODY), true), (Admit::any(), true)] {
        let mut listener = bind().mode(Mode::EVERYONE).admit(admit).listen().unwrap();
        come();
        match listener.next().await.unwrap() {
            Accepted::Connection(_, peer) => assert_eq!((peer.uid(), is_admitted), (NOBODY, true)),
            Accepted::Rejected(peer) => assert_eq!((peer.map(|peer| peer.uid()), is_admitted), (Some(NOBODY), false)),
            other => panic!("{other:?}"),
        }
    }
    let mut listener = bind().mode(Mode::EVERYONE).admit(Admit::none().gid(NOBODY)).listen().unwrap();
    send_and_leave(&path, "root is not of that group");
    no_client_comes(&mut listener).await;
    assert_eq!(listener.stats().last_rejected.as_ref().map(Peer::uid), Some(0));
    drop(listener);

    // An abstract name has no mode: it is closed.
    let name = format!("uds-actor admission {}", std::process::id());
    let mut listener = Bind::abstract_name(&*name).listen().unwrap();
    as_nobody(|| drop(Connect::abstract_name(&*name).connect_blocking().unwrap()));
    let next = listener.next().await.unwrap();
    assert!(matches!(&next, Accepted::Rejected(Some(peer)) if peer.uid() == NOBODY), "{next:?}");
}

#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn skipped(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}

#[tokio::test]
async fn each_rejected_peer_is_told_while_draining_too() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).admit(Admit::none()).listen().unwrap();
    send_and_leave(&path, "");
    send_and_leave(&path, "");
    let own = std::process::id();
    let first = listener.next().await.unwrap();
    assert!(matches!(&first, Accepted::Rejected(Some(peer)) if peer.pid() == Some(own)), "{first:?}");
    let mut draining = listener.into_draining();
    let second = draining.next().await.unwrap();
    assert!(matches!(&second, Some(Accepted::Rejected(Some(peer))) if peer.pid() == Some(own)), "{second:?}");
    assert!(draining.next().await.unwrap().is_none());
    assert_eq!(draining.stats().rejected, 2);
}

#[tokio::test]
async fn a_cancelled_accept_loses_no_connection() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen().unwrap();
    let clients = {
        let path = path.clone();
        std::thread::spawn(move || {
            (0..500).for_each(|n| {
                send_and_leave(&path, &n.to_string());
                std::thread::yield_now();
            })
        })
    };
    let mut texts = Vec::new();
    while texts.len() < 500 {
        // Polled once and dropped, most of the time.
        tokio::select! {
            biased;
            accepted = listener.accept() => texts.push(text_of(accepted.unwrap()).await),
            () = tokio::task::yield_now() => {}
        }
    }
    clients.join().unwrap();
    assert_eq!(texts, (0..500).map(|n| n.to_string()).collect::<Vec<_>>());
}

// --- draining -----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn draining_hands_out_everybody_who_was_waiting_with_all_they_sent() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen().unwrap();
    let long = "x".repeat(100_000);
    let expected: Vec<_> = (0..50).map(|n| format!("{n} {long}")).collect();
    for text in &expected {
        send_and_leave(&path, text);
    }
    let first = text_of(listener.accept().await.unwrap()).await;
    let draining = listener.into_draining();
    assert!(!path.exists());
    let mut texts = vec![first];
    texts.extend(texts_of(draining).await);
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn everything_sent_successfully_is_received_however_late() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    for round in 0..100 {
        let mut listener = Bind::path(&path).listen().unwrap();
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || {
                    let mut sent = 0;
                    while let Ok(mut client) = Connect::path(&path).connect_blocking() {
                        client.write_all(b"hello").unwrap();
                        sent += 1;
                    }
                    sent
                })
            })
            .collect();
        let mut received = vec![text_of(listener.accept().await.unwrap()).await];
        received.extend(texts_of(listener.into_draining()).await);
        let sent: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
        assert!(received.iter().all(|text| text == "hello"), "round {round}");
        assert_eq!(received.len(), sent, "round {round}");
    }
}

#[tokio::test]
async fn new_connections_are_refused_while_draining() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let (path, other) = (directory.path().join("x.sock"), directory.path().join("other"));
    let listener = Bind::path(&path).listen().unwrap();
    // A client that has found the socket already, for example under another name.
    fs::hard_link(&path, &other).unwrap();
    send_and_leave(&path, "in time");
    let draining = listener.into_draining();
    let late = Connect::path(&path).connect().await.unwrap_err();
    assert!(matches!(late, ConnectError::NotThere { .. }), "{late}");
    let late = Connect::path(&other).connect().await.unwrap_err();
    assert!(matches!(late, ConnectError::NotListening { .. }), "{late}");
    assert_eq!(texts_of(draining).await, ["in time"]);
}

// --- shortage -----------------------------------------------------------------------------------------------------

#[test]
fn a_shortage_of_descriptors_is_survived() {
    let _watchdog = Watchdog::start();
    // In processes of their own: the limit belongs to the whole process.
    Actor::start("listener::child_out_of_descriptors").passes();
    Actor::start("listener::child_out_of_descriptors_for_long").passes();
    Actor::start("listener::child_out_of_descriptors_and_patience").passes();
    Actor::start("listener::child_out_of_descriptors_while_draining").passes();
}

/// While it lives, this process can open nothing.
struct Starved(Rlimit);

impl Starved {
    fn begin() -> Self {
        let before = getrlimit(Resource::Nofile);
        let free = fs::File::open("/dev/null").unwrap();
        let current = Some(free.as_raw_fd().unsigned_abs().into());
        drop(free);
        setrlimit(Resource::Nofile, Rlimit { current, maximum: before.maximum }).unwrap();
        assert!(fs::File::open("/dev/null").is_err());
        Self(before)
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, Rlimit { current: self.0.current, maximum: self.0.maximum }).unwrap();
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "a process that another test starts"]
async fn child_out_of_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen().unwrap();
    for text in ["one", "two", "three"] {
        send_and_leave(&path, text);
    }
    let starved = Starved::begin();
    no_client_comes(&mut listener).await;
    let failures = listener.stats().failures;
    // 50 ms hold the pauses of 10 and 20 and the beginning of that of 40: it backs off, and does not spin.
    assert!((1..=3).contains(&failures), "{failures}");
    assert_eq!(listener.stats().shed, 0);
    drop(starved);
    for text in ["one", "two", "three"] {
        assert_eq!(text_of(listener.accept().await.unwrap()).await, text);
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "a process that another test starts"]
async fn child_out_of_descriptors_for_long() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen().unwrap();
    let mut first = Connect::path(&path).connect_blocking().unwrap();
    send_and_leave(&path, "second");
    let starved = Starved::begin();

    // 10 + 20 + 40 + 80 + 160 + 320 + 640 ms, and from then on one is let go after each second.
    assert!(timeout(Duration::from_millis(1260), listener.accept()).await.is_err());
    assert_eq!((listener.stats().failures, listener.stats().shed), (7, 0));
    assert!(timeout(Duration::from_millis(900), listener.accept()).await.is_err());
    assert_eq!((listener.stats().failures, listener.stats().shed), (8, 1));
    assert_eq!(first.read(&mut [0]).unwrap(), 0, "the first in the queue sees the end");
    drop(starved);
    assert_eq!(text_of(listener.accept().await.unwrap()).await, "second");

    // The spare descriptor is there again for the next time.
    let mut third = Connect::path(&path).connect_blocking().unwrap();
    let starved = Starved::begin();
    assert!(timeout(Duration::from_secs(3), listener.accept()).await.is_err());
    assert_eq!(listener.stats().shed, 2);
    assert_eq!(third.read(&mut [0]).unwrap(), 0);
    drop(starved);
}

#[tokio::test(start_paused = true)]
#[ignore = "a process that another test starts"]
async fn child_out_of_descriptors_and_patience() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen().unwrap();
    send_and_leave(&path, "hello");
    let starved = Starved::begin();
    // Giving up and coming back does not shorten the pauses: 10 + 20 + 40 ms are over, 80 are not.
    for _ in 0..100 {
        assert!(timeout(Duration::from_millis(1), listener.accept()).await.is_err());
    }
    assert!((2..=4).contains(&listener.stats().failures), "{}", listener.stats());
    drop(starved);
    assert_eq!(text_of(listener.accept().await.unwrap()).await, "hello");
}

#[tokio::test(start_paused = true)]
#[ignore = "a process that another test starts"]
async fn child_out_of_descriptors_while_draining() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let listener = Bind::path(&path).listen().unwrap();
    send_and_leave(&path, "one");
    send_and_leave(&path, "two");
    let mut draining = listener.into_draining();
    let starved = Starved::begin();
    assert!(timeout(Duration::from_secs(60), draining.accept()).await.is_err());
    assert_eq!(draining.stats().shed, 0);
    drop(starved);
    assert_eq!(texts_of(draining).await, ["one", "two"]);
}

#[test]
fn nothing_is_left_open() {
    let _watchdog = Watchdog::start();
    // In a separate process: other tests open and close things too.
    Actor::start("listener::child_that_looks_at_its_descriptors").passes();
}

#[tokio::test]
#[ignore = "a process that another test starts"]
async fn child_that_looks_at_its_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let open = || {
        let links =
            fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        links.filter(|link| !link.to_string_lossy().contains("/proc/")).collect::<BTreeSet<_>>()
    };
    let before = open();
    for _ in 0..20 {
        let mut listener = Bind::path(&path).listen().unwrap();
        let client = Connect::path(&path).connect().await.unwrap();
        let accepted = listener.accept().await.unwrap();
        assert!(matches!(Bind::path(&path).listen(), Err(BindError::Locked { .. })));
        drop((client, accepted));
        let mut draining = listener.into_draining();
        assert!(draining.accept().await.unwrap().is_none());
    }
    assert_eq!(open(), before);
}
