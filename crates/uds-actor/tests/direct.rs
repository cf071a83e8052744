//! What holds when senders write to the socket themselves, beside the actor.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/soon.rs"]
mod soon;

use frame_codec::LengthPrefixed;
use tokio::net::UnixStream;
use uds_actor::{Actor, Receiver, Sender};

use self::soon::soon;

async fn count(mut receiver: Receiver) -> usize {
    let mut frames = 0;
    while let Some(batch) = receiver.recv_batch().await {
        frames += batch.len();
    }
    frames
}

/// Both ends send and receive at once, so that what an actor reads keeps it from telling at once what it has written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_ends_however_much_comes_in_meanwhile() {
    let talk = async |sender: Sender| {
        for round in 0..500_usize {
            for part in 0..5 {
                sender.send(&vec![7; 1 + (round * 977 + part * 131) % 20_000]).await.unwrap();
            }
            soon("a flush", sender.flush()).await.unwrap();
        }
    };
    let (here, there) = UnixStream::pair().unwrap();
    let (left, left_receiver, _left_control) = Actor::new(here, LengthPrefixed::u32_be()).spawn();
    let (right, right_receiver, _right_control) = Actor::new(there, LengthPrefixed::u32_be()).spawn();
    let counts = [tokio::spawn(count(left_receiver)), tokio::spawn(count(right_receiver))];
    tokio::join!(talk(left), talk(right));
    for count in counts {
        assert_eq!(soon("a count", count).await.unwrap(), 2500);
    }
}
