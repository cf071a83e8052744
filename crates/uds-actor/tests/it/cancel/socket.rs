//! Listening, and connecting to what is not there yet.

use std::time::Duration;

use cancel_kit::{Check, Drops};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};
use uds_actor::{
    Bind, Connect,
    packet::{Actor, Received},
};

use super::{HANG, passes};

#[test]
fn a_listener_loses_no_connection() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("in.sock");
        let mut listener = Bind::path(&path).listen().expect("a listener");
        let callers = tokio::spawn(async move {
            for number in 0..5 {
                let mut stream = UnixStream::connect(&path).await.expect("it listens");
                stream.write_u8(number).await.expect("room");
            }
        });
        let mut numbers = Vec::new();
        for _ in 0..5 {
            let (mut stream, _) = drops.drive(async || listener.accept().await).await.expect("it listens");
            numbers.push(stream.read_u8().await.expect("a number"));
        }
        callers.await.expect("no panic");
        let rest = listener.into_draining().accept().await.expect("it drains");
        (numbers, rest.is_none())
    });
    passes(survey, 1);
}

#[test]
fn a_seqpacket_listener_loses_no_connection() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("in.sock");
        let mut listener = Bind::path(&path).listen_seqpacket().expect("a listener");
        let callers = tokio::spawn(async move {
            for number in 0..5 {
                let socket = Connect::path(&path).connect_seqpacket().await.expect("it listens");
                socket.send(&[number]).await.expect("room");
            }
        });
        let mut numbers = Vec::new();
        let mut room = [0; 4];
        for _ in 0..4 {
            let (socket, _) = drops.drive(async || listener.accept().await).await.expect("it listens");
            assert_eq!(socket.recv(&mut room).await.expect("a number"), Received::Packet(1));
            numbers.push(room[0]);
        }
        callers.await.expect("no panic");
        let mut draining = listener.into_draining();
        while let Some((socket, _)) = drops.drive(async || draining.accept().await).await.expect("it drains") {
            assert_eq!(socket.recv(&mut room).await.expect("a number"), Received::Packet(1));
            numbers.push(room[0]);
        }
        numbers
    });
    passes(survey, 1);
}

/// A server that is not there at first, so that there is something to wait for and to drop.
fn late<T: Send + 'static>(bind: impl FnOnce() -> T + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(8)).await;
        bind()
    })
}

#[test]
fn connecting_makes_no_connection_behind_its_back() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("in.sock");
        let connect = Connect::path(&path).deadline(HANG);
        let server = late(move || Bind::path(&path).listen().expect("a listener"));
        let mut stream = drops.drive(async || connect.connect().await).await.expect("it comes");
        stream.write_u8(7).await.expect("room");
        let mut draining = server.await.expect("no panic").into_draining();
        let mut numbers = Vec::new();
        while let Some((mut stream, _)) = draining.accept().await.expect("it drains") {
            numbers.push(stream.read_u8().await.ok());
        }
        numbers
    });
    passes(survey, 1);
}

#[test]
fn connecting_for_packets_makes_no_connection_behind_its_back() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("in.sock");
        let connect = Connect::path(&path).deadline(HANG);
        let server = late(move || Bind::path(&path).listen_seqpacket().expect("a listener"));
        let socket = drops.drive(async || connect.connect_seqpacket().await).await.expect("it comes");
        socket.send(b"7").await.expect("room");
        let mut draining = server.await.expect("no panic").into_draining();
        let mut connections = 0;
        while draining.accept().await.expect("it drains").is_some() {
            connections += 1;
        }
        connections
    });
    passes(survey, 1);
}

#[test]
fn connecting_to_a_datagram_socket_waits_for_it() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("in.sock");
        let connect = Connect::path(&path).deadline(HANG);
        let server = late(move || Bind::path(&path).bind_datagram().expect("a name"));
        let socket = drops.drive(async || connect.connect_datagram().await).await.expect("it comes");
        let (mut receiver, _control) = Actor::new(server.await.expect("no panic")).spawn_receiver();
        socket.send(b"7").await.expect("room");
        receiver.recv_batch().await.map(|batch| batch.len())
    });
    passes(survey, 1);
}
