//! Every async method around packets that says it is cancel safe, with its futures dropped in every place.

use std::{fmt::Debug, time::Duration};

use cancel_kit::{Check, Drops, Error, Survey};
use uds_actor::{
    Bind, Connect, Report, Seqpacket,
    packet::{Actor, Received},
};

const HANG: Duration = Duration::from_secs(20);

/// Nothing was found, and not because too little was tried.
#[track_caller]
fn passes<O: Debug>(survey: Result<Survey, Error<O>>, dropped: u64) {
    match survey {
        Ok(survey) => assert!(survey.dropped >= dropped, "{survey}"),
        Err(error) => panic!("{error}"),
    }
}

fn words() -> impl Iterator<Item = String> {
    (0..12).map(|number| format!("message-{number:02}"))
}

/// Receives until the end, letting others have their turn before each packet.
async fn read_all(socket: Seqpacket) -> Vec<String> {
    let mut words = Vec::new();
    let mut room = [0; 64];
    loop {
        tokio::task::yield_now().await;
        match socket.recv(&mut room).await.expect("an end, not an error") {
            Received::Packet(len) => words.push(String::from_utf8_lossy(&room[..len]).into_owned()),
            _ => return words,
        }
    }
}

/// A pair of which one end takes hardly two of the words at once.
fn narrow_pair() -> (Seqpacket, Seqpacket) {
    let (here, there) = Seqpacket::pair().expect("a pair");
    rustix::net::sockopt::set_socket_send_buffer_size(&here, 0).expect("the least there is");
    (here, there)
}

#[test]
fn a_seqpacket_sends_each_packet_once() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let (here, there) = narrow_pair();
        let reading = tokio::spawn(read_all(there));
        for word in words() {
            drops.drive(async || here.send(word.as_bytes()).await).await.expect("the peer reads");
        }
        drop(here);
        reading.await.expect("no panic")
    });
    passes(survey, 1);
}

#[test]
fn a_seqpacket_receives_each_packet_once() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let (here, there) = Seqpacket::pair().expect("a pair");
        let sending = tokio::spawn(async move {
            for word in words() {
                tokio::task::yield_now().await;
                there.send(word.as_bytes()).await.expect("room");
            }
        });
        let mut received = Vec::new();
        loop {
            let next = drops
                .drive(async || {
                    let mut room = [0; 64];
                    (here.recv(&mut room).await.expect("an end, not an error"), room)
                })
                .await;
            match next {
                (Received::Packet(len), room) => received.push(room[..len].to_vec()),
                _ => break,
            }
        }
        sending.await.expect("no panic");
        received
    });
    passes(survey, 10);
}

/// The part of a report that says what became of the packets.
fn account(report: &Report) -> (u64, usize, u64, u64) {
    (report.handed_to_kernel.frames, report.returned.len(), report.delivered.frames, report.lost.frames)
}

#[test]
fn an_actor_sends_flushes_and_finishes_once() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let (here, there) = narrow_pair();
        let (sender, _receiver, control) = Actor::new(here).outbox_bytes(100).spawn();
        let reading = tokio::spawn(read_all(there));
        for word in words() {
            drops.drive(async || sender.send(word.as_bytes()).await).await.expect("room comes");
        }
        drops.drive(async || sender.flush().await).await.expect("nobody closes before");
        sender.clone().finish().await.expect("nobody closes before");
        let report = drops.drive(|| control.finished()).await;
        (account(&report), reading.await.expect("no panic"))
    });
    passes(survey, 10);
}

#[test]
fn an_actor_delivers_each_packet_once() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let (here, there) = Seqpacket::pair().expect("a pair");
        let (_sender, mut receiver, control) = Actor::new(here).inbox_bytes(1).spawn();
        let sending = tokio::spawn(async move {
            for word in words() {
                there.send(word.as_bytes()).await.expect("room");
            }
        });
        let mut received = Vec::new();
        while let Some(batch) = drops.drive(async || receiver.recv_batch().await).await {
            received.extend(batch.iter().map(<[u8]>::to_vec));
        }
        sending.await.expect("no panic");
        drop(control.close(HANG));
        (received, account(&control.finished().await))
    });
    passes(survey, 10);
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

#[test]
fn connecting_makes_no_connection_behind_its_back() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("in.sock");
        let connect = Connect::path(&path).deadline(HANG);
        let server = tokio::spawn(async move {
            // Not there at first, so that there is something to wait for and to drop.
            tokio::time::sleep(Duration::from_millis(8)).await;
            Bind::path(&path).listen_seqpacket().expect("a listener")
        });
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
        let server = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(8)).await;
            Bind::path(&path).bind_datagram().expect("a name")
        });
        let socket = drops.drive(async || connect.connect_datagram().await).await.expect("it comes");
        let (mut receiver, _control) = Actor::new(server.await.expect("no panic")).spawn_receiver();
        socket.send(b"7").await.expect("room");
        receiver.recv_batch().await.map(|batch| batch.len())
    });
    passes(survey, 1);
}
