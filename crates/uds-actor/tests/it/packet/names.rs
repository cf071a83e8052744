//! Packet sockets take their names as streams do: no other process's file is touched, one starter wins, a crash blocks nothing.

use std::{
    fs,
    io::stdin,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixDatagram as StdDatagram, UnixListener as StdListener},
    },
    path::Path,
};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use test_kit::{
    process::{self, Watchdog, say},
    soon::{LONG, soon},
};
use uds_actor::{
    Bind, BindError, BoundDatagram, Connect, ConnectError, FileKind, Liveness, Mode, Seqpacket, SeqpacketListener,
    SocketKind, Verdict,
    packet::{Actor, Received},
    probe,
};

use super::take;

/// Whatever holds the name.
#[expect(dead_code, reason = "they are held, and dropped")]
enum Held {
    Seqpacket(Box<SeqpacketListener>),
    Datagram(BoundDatagram),
}

fn hold(kind: SocketKind, bind: Bind) -> Result<Held, BindError> {
    match kind {
        SocketKind::Seqpacket => bind.listen_seqpacket().map(|listener| Held::Seqpacket(Box::new(listener))),
        _ => bind.bind_datagram().map(Held::Datagram),
    }
}

const KINDS: [SocketKind; 2] = [SocketKind::Seqpacket, SocketKind::Datagram];

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What a server that crashed leaves behind.
fn leave_stale(kind: SocketType, path: &Path) {
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    drop(socket);
    // A process that another test is starting has our sockets too until it becomes another program.
    while probe(path).unwrap().verdict != Verdict::Stale {
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_name_is_taken_whole_and_given_back() {
    for kind in KINDS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock");
        let held = hold(kind, Bind::path(&path).mode(Mode::octal("620").unwrap())).unwrap();
        let metadata = path.symlink_metadata().unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o620);
        assert_eq!(names(directory.path()), [".x.sock.lock", "x.sock"]);
        assert_eq!(probe(&path).unwrap().verdict, Verdict::Listening);
        // The kernel calls a receiver connected once a process has connected to it.
        let _sender = match kind {
            SocketKind::Datagram => Some(Connect::path(&path).connect_datagram().await.unwrap()),
            _ => None,
        };
        assert_eq!(probe(&path).unwrap().verdict, Verdict::Listening);
        let error = hold(kind, Bind::path(&path)).err().unwrap();
        assert!(matches!(error, BindError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
        drop(held);
        assert_eq!(names(directory.path()), [""; 0]);

        let held = hold(kind, Bind::path(&path)).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600, "closed unless told otherwise");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        drop(held);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}

#[tokio::test]
async fn a_stale_socket_of_any_kind_is_replaced() {
    for kind in KINDS {
        for stale in [SocketType::STREAM, SocketType::SEQPACKET, SocketType::DGRAM] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("x.sock");
            leave_stale(stale, &path);
            leave_stale(stale, &directory.path().join(".x.sock.old"));
            let _held = hold(kind, Bind::path(&path)).unwrap();
            assert_eq!(names(directory.path()), [".x.sock.lock", "x.sock"]);
            assert_eq!(probe(&path).unwrap().verdict, Verdict::Listening);
        }
    }
}

#[tokio::test]
async fn what_is_alive_or_no_socket_is_left_alone() {
    for kind in KINDS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock");
        fs::write(&path, "precious").unwrap();
        let error = hold(kind, Bind::path(&path)).err().unwrap();
        assert!(matches!(error, BindError::NotASocket { kind: FileKind::Regular, .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();

        let server = StdDatagram::bind(&path).unwrap();
        let error = hold(kind, Bind::path(&path)).err().unwrap();
        assert!(
            matches!(error, BindError::InUse { liveness: Liveness { verdict: Verdict::Listening, .. }, .. }),
            "{error}"
        );
        StdDatagram::unbound().unwrap().send_to(b"still served", &path).unwrap();
        drop(server);
        fs::remove_file(&path).unwrap();

        let _server = StdListener::bind(&path).unwrap();
        let error = hold(kind, Bind::path(&path)).err().unwrap();
        assert!(
            matches!(error, BindError::InUse { liveness: Liveness { verdict: Verdict::Listening, .. }, .. }),
            "{error}"
        );
        assert!(path.exists());
    }
}

#[tokio::test]
async fn abstract_names_have_no_file() {
    for kind in KINDS {
        let name = format!("uds-actor-packet-{kind}-{}", std::process::id());
        let held = hold(kind, Bind::abstract_name(&*name)).unwrap();
        let error = hold(kind, Bind::abstract_name(&*name)).err().unwrap();
        assert!(matches!(error, BindError::Bind { .. }), "{error}");
        let connect = Connect::abstract_name(&*name);
        match kind {
            SocketKind::Seqpacket => drop(connect.connect_seqpacket().await.unwrap()),
            _ => drop(connect.connect_datagram().await.unwrap()),
        }
        drop(held);
        let gone = match kind {
            SocketKind::Seqpacket => connect.connect_seqpacket().await.map(drop),
            _ => connect.connect_datagram().await.map(drop),
        };
        assert!(matches!(gone, Err(ConnectError::NotListening { .. })), "{gone:?}");
        let error = hold(kind, Bind::abstract_name(&*name).mode(Mode::GROUP)).err().unwrap();
        assert!(matches!(error, BindError::NoFile { .. }), "{error}");
    }
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_socket() {
    let directory = tempfile::tempdir().unwrap();
    for kind in KINDS {
        assert!(matches!(hold(kind, Bind::path(directory.path().join("x.sock"))), Err(BindError::NoRuntime(_))));
    }
    assert_eq!(names(directory.path()), [""; 0]);
}

#[tokio::test]
async fn a_seqpacket_listener_accepts_names_and_drains() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen_seqpacket().unwrap();
    let first = Connect::path(&path).connect_seqpacket().await.unwrap();
    let (accepted, peer) = soon("a connection", listener.accept()).await.unwrap();
    assert_eq!(peer.pid(), Some(std::process::id()));
    let (_sender, mut receiver, control) = Actor::new(accepted).spawn();
    assert_eq!(control.peer(), Some(&peer));
    first.send(b"first").await.unwrap();
    assert_eq!(take(&mut receiver, 1).await, [b"first"]);

    let waiting = Connect::path(&path).connect_seqpacket().await.unwrap();
    waiting.send(b"sent before anybody accepted").await.unwrap();
    let mut draining = listener.into_draining();
    assert!(!path.exists());
    let (accepted, _) = soon("who waited", draining.accept()).await.unwrap().unwrap();
    let mut room = [0; 64];
    assert_eq!(accepted.recv(&mut room).await.unwrap(), Received::Packet(28));
    assert!(soon("nobody else", draining.accept()).await.unwrap().is_none());
    assert_eq!(draining.stats().accepted, 2);
}

// --- processes ----------------------------------------------------------------------------------------------------

#[test]
fn a_server_that_is_killed_is_noticed_and_its_name_taken_again() {
    let _watchdog = Watchdog::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for kind in KINDS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock");
        let mut server = process::Actor::start("packet::names::child_that_serves");
        assert_eq!(server.ask(&format!("{kind} {}", path.display())), "bound");
        runtime.block_on(async {
            let connect = Connect::path(&path);
            let report = match kind {
                SocketKind::Seqpacket => {
                    let socket = connect.connect_seqpacket().await.unwrap();
                    let (sender, mut receiver, control) = Actor::new(socket).spawn();
                    assert_eq!(control.peer().unwrap().pid(), Some(server.pid()));
                    sender.send(b"hello").await.unwrap();
                    assert_eq!(take(&mut receiver, 1).await, [b"hello"], "it sends back what it gets");
                    server.kill();
                    assert!(soon("the end", receiver.recv_batch()).await.is_none());
                    soon("the report", control.finished()).await
                }
                _ => {
                    let socket = connect.connect_datagram().await.unwrap();
                    let (sender, _receiver, control) = Actor::new(socket).spawn();
                    sender.send(b"hello").await.unwrap();
                    sender.flush().await.unwrap();
                    server.kill();
                    sender.send(b"anybody there?").await.unwrap();
                    let report = soon("the report", control.finished()).await;
                    assert!(matches!(report.reason, uds_actor::Reason::ReceiverGone), "{report}");
                    report
                }
            };
            assert_eq!(report.handed_to_kernel.frames, 1, "{report}");
            assert_eq!(probe(&path).unwrap().verdict, Verdict::Stale);
            drop(hold(kind, Bind::path(&path)).unwrap());
        });
    }
}

#[test]
#[ignore = "a process that another test starts"]
fn child_that_serves() {
    let Some(line) = stdin().lines().map_while(Result::ok).next() else { return };
    let (kind, path) = line.split_once(' ').unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if kind == "datagram" {
            let (mut receiver, _control) = Actor::new(Bind::path(path).bind_datagram().unwrap()).spawn_receiver();
            say("bound");
            while receiver.recv_batch().await.is_some() {}
        } else {
            let mut listener = Bind::path(path).listen_seqpacket().unwrap();
            say("bound");
            let (socket, _) = listener.accept().await.unwrap();
            let (sender, mut receiver, _control) = Actor::new(socket).spawn();
            while let Some(batch) = receiver.recv_batch().await {
                sender.send_batch(&batch).await.unwrap();
            }
        }
    });
}

#[test]
fn packet_sockets_of_the_service_manager_are_served_and_left_as_they_were() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let flags = SocketFlags::CLOEXEC;
    let make = |kind, name: &str| {
        let path = directory.path().join(name);
        let socket = socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
        bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        (socket, path)
    };
    let (listening, connections) = make(SocketType::SEQPACKET, "connections");
    rustix::net::listen(&listening, 8).unwrap();
    let (receiving, datagrams) = make(SocketType::DGRAM, "datagrams");
    rustix::net::sockopt::set_socket_passcred(&receiving, true).unwrap(); // PassCredentials=yes
    StdDatagram::unbound().unwrap().send_to(b"early", &datagrams).unwrap();

    let mut service = process::Actor::activate(
        "packet::names::child_that_is_activated",
        listening.try_clone().unwrap(),
        receiving.try_clone().unwrap(),
        "connections:datagrams",
    );
    assert_eq!(service.hear(), "early");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket: Seqpacket = Connect::path(&connections).connect_seqpacket().await.unwrap();
        let mut room = [0; 16];
        assert_eq!(soon("a greeting", socket.recv(&mut room)).await.unwrap(), Received::Packet(6));
    });
    service.passes();
    assert!(connections.exists() && datagrams.exists());
    StdDatagram::unbound().unwrap().send_to(b"for the next instance", &datagrams).unwrap();
}

#[test]
#[ignore = "a process that another test starts"]
fn child_that_is_activated() {
    if std::env::var_os("LISTEN_PID").is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let error = Bind::systemd("datagrams").listen_seqpacket().unwrap_err();
        assert!(matches!(error, BindError::NotAListener { wanted: SocketKind::Seqpacket, .. }), "{error}");
        let error = Bind::systemd("connections").bind_datagram().unwrap_err();
        assert!(error.to_string().ends_with("is not a Unix datagram socket"), "{error}");
        let (mut receiver, control) = Actor::new(Bind::systemd("datagrams").bind_datagram().unwrap()).spawn_receiver();
        let early = take(&mut receiver, 1).await;
        say(String::from_utf8_lossy(&early[0]));
        let report = soon("the report", control.close(LONG)).await;
        assert!(report.turned_away.is_empty(), "{report}");
        let mut listener = Bind::systemd("connections").listen_seqpacket().unwrap();
        let (socket, _) = soon("a connection", listener.accept()).await.unwrap();
        socket.send(b"hello!").await.unwrap();
    });
}
