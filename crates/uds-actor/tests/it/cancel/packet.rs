//! Packet sockets, and the handles of their actor.

use cancel_kit::{Check, Drops};
use uds_actor::{
    Seqpacket,
    packet::{Actor, Received},
};

use super::{HANG, counts, passes, words};

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

#[test]
fn an_actor_sends_flushes_and_finishes_once() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let (here, there) = narrow_pair();
        let (sender, _receiver, control) = Actor::new(here).outbox_bytes(100).spawn();
        let reading = tokio::spawn(read_all(there));
        for word in words() {
            drops.drive(async || sender.send(word.as_bytes()).await).await.expect("room comes");
        }
        drops.drive(async || sender.flush().await).await.expect("the connection is open");
        sender.clone().finish().await.expect("the connection is open");
        let report = drops.drive(|| control.finished()).await;
        (counts(&report), reading.await.expect("no panic"))
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
        (received, counts(&control.finished().await.connection))
    });
    passes(survey, 10);
}
