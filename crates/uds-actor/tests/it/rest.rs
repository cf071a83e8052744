//! What a connection holds when it has come to rest, counted by the allocator: next to nothing, whatever it did before.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bytes::Bytes;
use frame_codec::LengthPrefixed;
use heap_kit::in_thread;
use test_kit::soon::soon;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::sleep,
};
use uds_actor::{Actor, Receiver, Sender};

/// Longer than it takes a connection to notice that it is at rest.
const REST: Duration = Duration::from_secs(1);

/// Reads this many bytes, and keeps none.
async fn swallow(there: &mut UnixStream, mut bytes: usize) {
    let mut room = vec![0; 64 << 10];
    while bytes > 0 {
        let most = room.len().min(bytes);
        bytes -= soon("bytes", there.read(&mut room[..most])).await.unwrap();
    }
}

/// How much more a connection holds after `work` and a rest than it did when it was new.
async fn held_after(work: impl AsyncFnOnce(&Sender, &mut Receiver, &mut UnixStream)) -> isize {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (sender, mut receiver, control) = Actor::new(here, LengthPrefixed::u32_be()).spawn();
    sleep(REST).await;
    let before = in_thread();
    work(&sender, &mut receiver, &mut there).await;
    sleep(REST).await;
    let held = in_thread() - before;
    drop(control);
    held
}

fn check(held: isize, after: &str) {
    assert!(held < 4 << 10, "{held} bytes {after}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_at_rest_holds_next_to_nothing_whatever_came_before() {
    let held = held_after(async |sender, _, there| {
        sender.send(&[1; 100_000]).await.unwrap(); // written by its sender: the actor has no turn
        swallow(there, 100_004).await;
    });
    check(held.await, "after one large message");

    let held = held_after(async |sender, _, there| {
        for round in 0..40 {
            sender.send(&vec![1; round * 100]).await.unwrap();
            sender.send_shared(Bytes::from(vec![1; 5000])).await.unwrap();
        }
        sleep(REST).await;
        swallow(there, 40 * 5008 + 39 * 20 * 100).await;
    });
    check(held.await, "after large and small ones in turns");

    let held = held_after(async |sender, _, there| {
        // More than the kernel takes, and less than is given back as soon as it is written.
        let mut sent = 0;
        while sender.try_send(&[1; 96]).is_ok() && sent < 350_000 {
            sent += 100;
        }
        sleep(REST).await; // nothing moves, and nothing can be given back
        swallow(there, sent).await;
    });
    check(held.await, "after a reader that stood still for a while");

    let held = held_after(async |_, receiver, there| {
        let wire = b"\0\0\0\x04four".repeat(100_000);
        let writing = soon("the writing", there.write_all(&wire));
        let reading = async {
            let mut frames = 0;
            while frames < 100_000 {
                frames += soon("a batch", receiver.recv_batch()).await.unwrap().len();
            }
        };
        tokio::join!(writing, reading).0.unwrap();
    });
    check(held.await, "after a flood");

    let held = held_after(async |_, receiver, there| {
        for _ in 0..3000 {
            there.write_all(b"\0\0\0\x04four").await.unwrap();
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        let mut frames = 0;
        while frames < 3000 {
            frames += soon("a batch", receiver.recv_batch()).await.unwrap().len();
        }
    });
    check(held.await, "after a receiver that took nothing for a while");

    let held = held_after(async |_, receiver, there| {
        // Two fill the inbox. When they are taken, the actor tries to read, and finds nothing.
        let message = [&900_000_u32.to_be_bytes()[..], &[1; 900_000]].concat();
        for _ in 0..2 {
            soon("the writing", there.write_all(&message)).await.unwrap();
        }
        sleep(REST).await;
        for _ in 0..2 {
            soon("a message", receiver.recv_batch()).await.unwrap();
        }
    });
    check(held.await, "after a receiver that took large messages late");
}
