//! What an actor of a packet socket promises: on seqpacket connections, on datagram sockets with and without a name, and on
//! a socket that does what it is told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bound;
mod datagram;
mod laws;
mod names;
mod puppet;
mod seqpacket;

use test_kit::soon::soon;
use uds_actor::Receiver;

/// Everything that comes until the end, packet by packet.
async fn drain(receiver: &mut Receiver) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    while let Some(batch) = soon("a batch", receiver.recv_batch()).await {
        packets.extend(batch.iter().map(<[u8]>::to_vec));
    }
    packets
}

/// The next `count` packets.
async fn take(receiver: &mut Receiver, count: usize) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    while packets.len() < count {
        let batch = soon("a packet", receiver.recv_batch()).await.expect("more is to come");
        packets.extend(batch.iter().map(<[u8]>::to_vec));
    }
    packets
}
