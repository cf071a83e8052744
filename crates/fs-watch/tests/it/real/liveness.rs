//! Which sockets are live, which are not yet, and which are no longer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::time::{Duration, Instant};

use fs_watch::{Evidence, Probing, Reason, SocketKind, Verdict};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use test_kit::stopwatch::Stopwatch;

use crate::real::mirror::Mirror;
use crate::real::{Rig, everywhere};

everywhere![
    a_server_is_ready_after_it_is_added,
    trap_05_a_server_slow_to_listen_is_ready_when_it_does_and_never_stale,
    a_server_that_listens_late_is_ready_within_a_second,
    every_kind_of_socket_is_told,
    a_datagram_socket_is_served_whoever_has_connected,
    a_server_that_dies_is_stale_and_its_successor_is_added,
    a_server_there_at_the_start_is_ready_and_a_dead_one_is_stale,
    nobody_is_connected_to_whom_the_table_has,
    without_connecting_a_vanished_server_is_stale_all_the_same,
    who_is_not_to_be_asked_is_not,
    trap_06_each_condition_has_its_verdict,
];

/// So long a new socket is asked about again and again, however little happens.
const ASKED_ABOUT: Duration = Duration::from_millis(250);

impl Rig {
    fn judged(&self) -> fs_watch::Builder {
        self.builder().probing(Probing::default())
    }

    fn bind_only(&self, name: &str, kind: SocketType) -> std::os::fd::OwnedFd {
        let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
        bind(&socket, &SocketAddrUnix::new(self.path(name)).unwrap()).unwrap();
        socket
    }
}

async fn a_server_is_ready_after_it_is_added(rig: Rig) {
    let mut mirror = Mirror::start(rig.judged()).await;
    let _listener = rig.bind("a");
    mirror.until("it is ready", |mirror| mirror.is_ready(&rig.path("a"))).await;
    let socket = &mirror.sockets[&rig.path("a")];
    assert_eq!(socket.kind, Some(SocketKind::Stream));
    assert!(matches!(socket.liveness.evidence, Evidence::Table { backlog: Some(_), .. }), "{socket:?}");
}

async fn trap_05_a_server_slow_to_listen_is_ready_when_it_does_and_never_stale(rig: Rig) {
    let mut mirror = Mirror::start(rig.judged()).await;
    let mut servers = Vec::new();
    for pause in [0, 3, 40, 150] {
        let name = format!("{pause}");
        let bound = Instant::now();
        let server = rig.bind_only(&name, SocketType::STREAM);
        mirror.until_there(&rig.path(&name)).await;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        assert!(!mirror.is_ready(&rig.path(&name)));
        listen(&server, 8).unwrap();
        servers.push(server);
        if bound.elapsed() >= ASKED_ABOUT {
            // This machine took longer than a new socket is probed quickly: the next complete scan probes it.
            mirror.sync().await;
        }
        mirror.until("it is ready", |mirror| mirror.is_ready(&rig.path(&name))).await;
    }
    assert_eq!(mirror.removals, []);
}

async fn a_server_that_listens_late_is_ready_within_a_second(rig: Rig) {
    // Nothing but the watcher's own clock helps.
    let builder = rig.judged().safety_interval(Duration::from_secs(86_400));
    let mut mirror = Mirror::start(builder).await;
    let server = rig.bind_only("a", SocketType::STREAM);
    mirror.sync().await;
    // Longer than a new socket is asked about in quick succession.
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert!(!mirror.is_ready(&rig.path("a")));
    let began = Stopwatch::start();
    listen(&server, 8).unwrap();
    mirror.until("it is ready", |mirror| mirror.is_ready(&rig.path("a"))).await;
    began.assert_within(Duration::from_secs(1), "readiness");
}

async fn every_kind_of_socket_is_told(rig: Rig) {
    let _datagrams = UnixDatagram::bind(rig.path("datagrams")).unwrap();
    let packets = rig.bind_only("packets", SocketType::SEQPACKET);
    listen(&packets, 1).unwrap();
    let mut mirror = Mirror::start(rig.judged()).await;
    mirror.until("both are ready", |mirror| mirror.ready.len() == 2).await;
    assert_eq!(mirror.sockets[&rig.path("datagrams")].kind, Some(SocketKind::Datagram));
    assert_eq!(mirror.sockets[&rig.path("packets")].kind, Some(SocketKind::Seqpacket));
}

/// To connect to a datagram socket makes it a connected one in the kernel's table. It takes datagrams as before.
async fn a_datagram_socket_is_served_whoever_has_connected(rig: Rig) {
    for probing in [Probing::TableOnly, Probing::TableAndConnect] {
        let path = rig.path(&format!("{probing:?}"));
        let receiver = UnixDatagram::bind(&path).unwrap();
        let mut mirror = Mirror::start(rig.builder().probing(probing)).await;
        mirror.until("it is ready", |mirror| mirror.is_ready(&path)).await;
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect(&path).unwrap();
        for _ in 0..3 {
            mirror.sync().await;
        }
        assert_eq!(mirror.removals, [], "{probing:?}");
        assert!(matches!(mirror.sockets[&path].liveness.evidence, Evidence::Table { .. }), "{probing:?}");
        // Also for a watcher that starts now.
        let mut late = Mirror::start(rig.builder().probing(probing)).await;
        late.sync().await;
        assert!(late.is_ready(&path), "{probing:?}");
        assert!(matches!(late.sockets[&path].liveness.evidence, Evidence::Table { .. }), "{probing:?}");

        drop((sender, receiver));
        for _ in 0..2 {
            mirror.sync().await;
        }
        assert_eq!(mirror.removals, [Reason::Stale], "{probing:?}");
        fs::remove_file(&path).unwrap();
    }
}

async fn a_server_that_dies_is_stale_and_its_successor_is_added(rig: Rig) {
    let listener = rig.bind("a");
    let mut mirror = Mirror::start(rig.judged()).await;
    // A connection that it accepted outlives it and does not make it live.
    let _client = UnixStream::connect(rig.path("a")).unwrap();
    let _accepted = listener.accept().unwrap();
    mirror.until("it is ready", |mirror| mirror.is_ready(&rig.path("a"))).await;
    let first = mirror.sockets[&rig.path("a")].generation;
    drop(listener);
    mirror.sync().await;
    assert_eq!((mirror.names(), &mirror.removals[..]), (vec![], &[Reason::Stale][..]));

    fs::remove_file(rig.path("a")).unwrap();
    let _successor = rig.bind("a");
    mirror.until("the successor is ready", |mirror| mirror.is_ready(&rig.path("a"))).await;
    assert!(mirror.sockets[&rig.path("a")].generation > first);
    assert_eq!(mirror.removals, [Reason::Stale]);
}

async fn a_server_there_at_the_start_is_ready_and_a_dead_one_is_stale(rig: Rig) {
    let _living = rig.bind("living");
    let dead = rig.bind("dead");
    let mut mirror = Mirror::start(rig.judged()).await;
    mirror.until("both are ready", |mirror| mirror.ready.len() == 2).await;
    drop(dead);
    mirror.sync().await;
    assert_eq!(mirror.names(), ["living"]);
    assert!(mirror.is_ready(&rig.path("living")));
}

async fn nobody_is_connected_to_whom_the_table_has(rig: Rig) {
    let listener = rig.bind("a");
    listener.set_nonblocking(true).unwrap();
    let mut mirror = Mirror::start(rig.judged()).await;
    mirror.until("it is ready", |mirror| mirror.is_ready(&rig.path("a"))).await;
    for _ in 0..20 {
        mirror.sync().await;
    }
    let accepted = listener.accept();
    assert_eq!(accepted.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

async fn without_connecting_a_vanished_server_is_stale_all_the_same(rig: Rig) {
    let listener = rig.bind("a");
    let mut mirror = Mirror::start(rig.builder().probing(Probing::TableOnly)).await;
    mirror.until("it is ready", |mirror| mirror.is_ready(&rig.path("a"))).await;
    drop(listener);
    // The second table confirms the first.
    mirror.sync().await;
    mirror.sync().await;
    assert_eq!(mirror.removals, [Reason::Stale]);
}

async fn who_is_not_to_be_asked_is_not(rig: Rig) {
    let _listener = rig.bind("a");
    let mut mirror = Mirror::start(rig.builder().probing(Probing::Off)).await;
    mirror.sync().await;
    assert_eq!(mirror.names(), ["a"]);
    assert_eq!(mirror.sockets[&rig.path("a")].liveness.verdict, Verdict::Unknown);
    assert!(mirror.ready.is_empty());
    drop(UnixListener::bind(rig.path("b")).unwrap());
    mirror.sync().await;
    assert_eq!(mirror.names(), ["a", "b"]);
}

async fn trap_06_each_condition_has_its_verdict(rig: Rig) {
    let _listening = rig.bind("listening");
    let _bound = rig.bind_only("bound", SocketType::STREAM);
    let _datagrams = UnixDatagram::bind(rig.path("datagrams")).unwrap();
    // A connection is refused now, although a process has the socket.
    let full = rig.bind_only("full", SocketType::STREAM);
    listen(&full, 0).unwrap();
    let _waiting = UnixStream::connect(rig.path("full")).unwrap();
    let [closed, gone, shut] = ["closed", "gone", "shut"].map(|name| rig.bind(name));
    fs::write(rig.path("file"), "").unwrap();
    std::os::unix::fs::symlink(rig.path("nowhere"), rig.path("dangling")).unwrap();
    fs::set_permissions(rig.path("shut"), fs::Permissions::from_mode(0o000)).unwrap();

    let mut mirror = Mirror::start(rig.judged()).await;
    mirror.sync().await;
    let ready = |mirror: &Mirror| -> Vec<String> {
        let names = mirror.names().into_iter().filter(|name| mirror.is_ready(&rig.path(name)));
        names.map(str::to_owned).collect()
    };
    assert_eq!(mirror.names(), ["bound", "closed", "datagrams", "full", "gone", "listening", "shut"]);
    assert_eq!(ready(&mirror), ["closed", "datagrams", "full", "gone", "listening", "shut"]);
    assert_eq!(mirror.sockets[&rig.path("full")].liveness.verdict, Verdict::Listening);
    assert_ne!(mirror.sockets[&rig.path("bound")].liveness.verdict, Verdict::Listening);

    drop((closed, gone));
    fs::remove_file(rig.path("gone")).unwrap();
    mirror.until_gone(&rig.path("gone")).await;
    mirror.sync().await;
    assert_eq!(ready(&mirror), ["datagrams", "full", "listening", "shut"]);
    assert!(!mirror.sockets.contains_key(&rig.path("closed")));
    assert_eq!(mirror.removals.len(), 2);
    drop(shut);
}
