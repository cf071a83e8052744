//! A funnel at its limits and at its end: no producer takes another's place, and no state keeps it from ending.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream as StdStream,
    time::{Duration, Instant},
};

use frame_codec::{Batch, Delimited};
use mpsr_server::{Event, Funnel, Limits, Parting};
use test_kit::soon::{LONG, soon};
use tokio::{io::AsyncWriteExt as _, net::UnixStream};
use uds_actor::Bind;

fn one_connection() -> Limits {
    let mut limits = Limits::default();
    limits.connections = 1;
    limits
}

/// Far more than one read takes, in lines.
fn much() -> Vec<u8> {
    b"0123456789\n".repeat(15_000)
}

/// Takes all there is and keeps it, so that the connections of `Limits::per_connection_bytes = 1` cannot go on.
async fn keep_everything(funnel: &mut Funnel) -> (Vec<Batch>, Vec<Parting>) {
    let (mut kept, mut partings) = (Vec::new(), Vec::new());
    while let Some(event) = soon("the funnel's end", funnel.next()).await {
        match event {
            Event::Delivery(delivery) => kept.push(delivery.into_batch()),
            Event::Left(report) => partings.push(report.parting),
            _ => {}
        }
    }
    (kept, partings)
}

#[tokio::test]
async fn listeners_that_wait_do_not_take_the_place_of_a_connection() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a.sock", "b.sock", "c.sock"].map(|name| dir.path().join(name));
    let builder = Funnel::builder(Delimited::lines()).limits(one_connection());
    let builder = paths.iter().fold(builder, |builder, path| builder.listen(Bind::path(path)));
    let mut funnel = builder.start().await.unwrap();
    for path in paths.iter().rev().chain(&paths) {
        let mut client = UnixStream::connect(path).await.unwrap();
        client.write_all(b"a line\n").await.unwrap();
        drop(client);
        soon("the line", funnel.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn the_deadline_of_a_shutdown_is_one_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    let mut limits = one_connection();
    limits.per_connection_bytes = 1;
    let mut funnel =
        Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).limits(limits).start().await.unwrap();
    // Five that wait for the one place, each with more than is taken of it.
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let client = StdStream::connect(&path).unwrap();
            client.set_nonblocking(true).unwrap();
            let _ = (&client).write(&much()).unwrap();
            client
        })
        .collect();
    soon("the first", funnel.next()).await.unwrap();
    let began = Instant::now();
    funnel.handle().shutdown(Duration::from_secs(2));
    let (_kept, partings) = keep_everything(&mut funnel).await;
    assert!(matches!(partings[0], Parting::Abandoned), "{}", partings[0]);
    // One after the other they would take ten.
    assert!(began.elapsed() < Duration::from_secs(8), "it took {:?}", began.elapsed());
    drop(clients);
}

#[tokio::test]
async fn whoever_was_read_from_is_in_the_report_of_a_funnel_that_nobody_polled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    let funnel = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).start().await.unwrap();
    let clients: Vec<_> = (0..100)
        .map(|_| {
            let mut client = StdStream::connect(&path).unwrap();
            client.write_all(b"a line\n").unwrap();
            client
        })
        .collect();
    for _ in 0..1000 {
        tokio::task::yield_now().await; // more turns than it takes until no producer is admitted any more
    }
    let report = soon("the report", funnel.finished()).await;
    assert!(!path.exists());
    // A socket that is closed before everything was read from it resets the connection; all others end in order.
    let read_from = clients.into_iter().filter_map(|mut client| client.read(&mut [0; 1]).ok()).count();
    assert_eq!((report.producers, report.lost.frames), (read_from as u64, read_from as u64), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shutdown_under_load_loses_nothing_that_was_sent_before_it() {
    for round in 0..40_u64 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.sock");
        let mut limits = Limits::default();
        limits.connections = 1 + (round % 7) as usize;
        limits.per_connection_bytes = 1 << (round % 18);
        let builder = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).limits(limits);
        let mut funnel = builder.start().await.unwrap();
        let handle = funnel.handle();
        let writing = std::thread::spawn(move || {
            let clients: Vec<_> = (0..20)
                .map(|n| {
                    let mut client = StdStream::connect(&path).unwrap();
                    client.write_all(&format!("{n}\n").into_bytes().repeat(30)).unwrap();
                    client
                })
                .collect();
            handle.shutdown(1000 * LONG); // everything above was written before
            clients
        });
        let mut lines = 0;
        while let Some(delivery) = soon("a delivery", funnel.recv()).await {
            lines += delivery.batch().len();
        }
        let report = soon("the report", funnel.finished()).await;
        assert_eq!((lines, report.producers, report.lost.frames, report.truncated), (600, 20, 0, 0), "round {round}");
        drop(writing.join().unwrap());
    }
}

#[cfg(feature = "dir")]
mod members {
    //! Producers that offer a socket, and are announced by a stream of the application.

    use std::{
        os::fd::OwnedFd,
        path::{Path, PathBuf},
    };

    use futures_util::stream;
    use mpsr_server::{Endpoint, Membership};
    use tokio::{net::UnixListener, sync::mpsc};
    use uds_actor::Address;

    use super::*;

    fn member(path: &Path) -> Endpoint {
        Endpoint { address: Address::Path(path.to_owned()), generation: 1 }
    }

    /// Members as they are told; dropping the sender ends the stream.
    fn members()
    -> (mpsc::UnboundedSender<Membership<Endpoint>>, impl stream::Stream<Item = Membership<Endpoint>> + Send) {
        let (tell, told) = mpsc::unbounded_channel();
        (tell, stream::unfold(told, |mut told| async move { told.recv().await.map(|change| (change, told)) }))
    }

    /// A socket that is bound and does not listen.
    fn deaf(path: &Path) -> OwnedFd {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
        socket
    }

    #[tokio::test]
    async fn sockets_that_refuse_do_not_take_the_place_of_those_that_serve() {
        let dir = tempfile::tempdir().unwrap();
        let deaf_paths: Vec<PathBuf> = (0..5).map(|n| dir.path().join(format!("deaf{n}.sock"))).collect();
        let _deaf: Vec<OwnedFd> = deaf_paths.iter().map(|path| deaf(path)).collect();
        let path = dir.path().join("serving.sock");
        let server = UnixListener::bind(&path).unwrap();
        let (tell, told) = members();
        for path in deaf_paths.iter().chain([&path]) {
            tell.send(Membership::Joined(member(path))).unwrap();
        }
        let builder = Funnel::builder(Delimited::lines()).members(told).limits(one_connection());
        let mut funnel = builder.start().await.unwrap();
        let serving = tokio::spawn(async move {
            let (mut client, _) = server.accept().await.unwrap();
            client.write_all(b"at your service\n").await.unwrap();
        });
        soon("the line", funnel.recv()).await.unwrap();
        serving.await.unwrap();
        soon("the report", funnel.finished()).await;
    }

    #[tokio::test]
    async fn a_member_announced_twice_is_connected_to_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("twice.sock");
        let server = UnixListener::bind(&path).unwrap();
        let joined = || Membership::Joined(member(&path));
        let (tell, told) = members();
        for change in [joined(), joined(), Membership::Synced] {
            tell.send(change).unwrap();
        }
        let mut funnel = Funnel::builder(Delimited::lines()).members(told).start().await.unwrap();
        let (mut client, _) = soon("the funnel", server.accept()).await.unwrap();
        client.write_all(b"once\n").await.unwrap();
        soon("the line", funnel.recv()).await.unwrap();
        tell.send(Membership::Left(member(&path))).unwrap();
        drop((client, server, tell));
        while soon("the end", funnel.next()).await.is_some() {}
        assert_eq!(soon("the report", funnel.finished()).await.producers, 1);
    }

    #[tokio::test]
    async fn a_socket_that_vanishes_during_a_shutdown_does_not_prolong_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("brief.sock");
        let server = UnixListener::bind(&path).unwrap();
        let (tell, told) = members();
        tell.send(Membership::Joined(member(&path))).unwrap();
        let mut limits = Limits::default();
        limits.per_connection_bytes = 1;
        limits.vanished_grace = Duration::from_millis(500);
        let mut funnel = Funnel::builder(Delimited::lines()).members(told).limits(limits).start().await.unwrap();
        let (client, _) = soon("the funnel", server.accept()).await.unwrap();
        let _ = client.try_write(&much()).unwrap();
        soon("the producer", funnel.next()).await.unwrap();
        tell.send(Membership::Left(member(&path))).unwrap();
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let began = Instant::now();
        funnel.handle().shutdown(Duration::from_secs(1));
        keep_everything(&mut funnel).await;
        assert!(began.elapsed() < Duration::from_secs(4), "it took {:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_funnel_ends_in_whatever_state_its_sources_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let _deaf = deaf(&path("deaf.sock"));
        let server = UnixListener::bind(path("vanished.sock")).unwrap();
        let (tell, told) = members();
        tell.send(Membership::Joined(member(&path("deaf.sock")))).unwrap();
        tell.send(Membership::Joined(member(&path("vanished.sock")))).unwrap();
        let mut limits = Limits::default();
        limits.vanished_grace = 1000 * LONG;
        let builder = Funnel::builder(Delimited::lines())
            .listen(Bind::path(path("in.sock")))
            .members(stream::pending())
            .members(stream::repeat(Membership::Synced)) // more to tell than anybody takes
            .members(told)
            .limits(limits);
        let funnel = builder.start().await.unwrap();
        let (_client, _) = soon("the funnel", server.accept()).await.unwrap();
        tell.send(Membership::Left(member(&path("vanished.sock")))).unwrap();
        let _waiting: Vec<_> = (0..200).map(|_| StdStream::connect(path("in.sock")).unwrap()).collect();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        funnel.handle().shutdown(1000 * LONG);
        let report = soon("the report", funnel.finished()).await;
        assert_eq!(report.delivered.frames, 0);
        assert!(!path("in.sock").exists());
    }

    /// A server that has its socket again, announced without a word about the one before.
    #[tokio::test]
    async fn a_successor_is_connected_to_at_once_and_what_it_replaces_is_asked_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("again.sock");
        let (tell, told) = members();
        let mut limits = Limits::default();
        // The first is connected for longer than the second takes to be.
        limits.vanished_grace = Duration::from_secs(1);
        let mut funnel = Funnel::builder(Delimited::lines()).members(told).limits(limits).start().await.unwrap();
        let mut clients = Vec::new();
        let began = Instant::now();
        for generation in 1..=2 {
            drop(std::fs::remove_file(&path));
            let server = UnixListener::bind(&path).unwrap();
            tell.send(Membership::Joined(Endpoint { generation, ..member(&path) })).unwrap();
            clients.push(soon("the funnel", server.accept()).await.unwrap().0);
            let event = soon("the producer", funnel.next()).await.unwrap();
            assert!(matches!(&event, Event::Joined(producer) if producer.id.value() == generation), "{event:?}");
        }
        let Event::Left(report) = soon("the end of the first", funnel.next()).await.unwrap() else { panic!() };
        assert_eq!(report.producer.id.value(), 1);
        assert!(matches!(report.parting, Parting::Vanished), "{report}");
        assert!(began.elapsed() >= limits.vanished_grace);
        // It is not the second's end.
        tell.send(Membership::Left(member(&path))).unwrap();
        clients[1].write_all(b"here\n").await.unwrap();
        soon("the line", funnel.recv()).await.unwrap();
        assert_eq!(soon("the report", funnel.finished()).await.producers, 2);
    }
}
