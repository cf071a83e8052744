//! What holds when senders write to the socket themselves, beside the actor.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    future::Future,
    io::{ErrorKind, Read as _, Write as _},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use frame_codec::{LengthPrefixed, Raw};
use proptest::prelude::*;
use rustix::net::sockopt::set_socket_send_buffer_size;
use test_kit::soon::soon;
use tokio::{io::AsyncReadExt as _, net::UnixStream};
use uds_actor::{Actor, Receiver, Sender};

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

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Everything the kernel has for this end.
fn take_all(there: &mut std::os::unix::net::UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let error = there.read_to_end(&mut bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    bytes
}

/// An actor that is idle, on a thread where it has no turn before the next await; and its peer.
async fn idle() -> (Sender, Receiver, uds_actor::Control, std::os::unix::net::UnixStream) {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, receiver, control) = Actor::new(here, Raw).spawn();
    sender.send(b"first").await.unwrap();
    sender.flush().await.unwrap();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let mut there = there.into_std().unwrap();
    assert_eq!(take_all(&mut there), b"first");
    (sender, receiver, control, there)
}

#[tokio::test]
async fn a_block_is_written_by_the_sender_who_fills_it_and_a_flush_is_told() {
    let (sender, _receiver, _control, mut there) = idle().await;
    let now = |payload: &[u8]| assert_eq!(poll_once(pin!(sender.send(payload))), Poll::Ready(Ok(())));
    now(b"lone");
    assert_eq!(take_all(&mut there), b"lone");
    now(b"queued");
    assert_eq!(take_all(&mut there), b"");
    let woken = Arc::new(Woken::default());
    let mut flush = pin!(sender.flush());
    assert!(flush.as_mut().poll(&mut Context::from_waker(&Arc::clone(&woken).into())).is_pending());
    now(&[7; 128 << 10]);
    assert_eq!(take_all(&mut there).len(), 6 + (128 << 10));
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(poll_once(flush), Poll::Ready(Ok(())));
}

#[tokio::test]
async fn a_sender_gives_way_after_some_blocks_and_has_sent_nothing_if_it_is_dropped_then() {
    let (sender, _receiver, control, mut there) = idle().await;
    let block = [7; 64 << 10];
    let (mut accepted, mut arrived, mut gave_way) = (0_usize, 0, 0);
    for _ in 0..100 {
        match poll_once(pin!(sender.send(&block))) {
            Poll::Ready(sent) => {
                sent.unwrap();
                accepted += block.len();
            }
            Poll::Pending => gave_way += 1,
        }
        arrived += take_all(&mut there).len();
    }
    assert!((5..20).contains(&gave_way), "gave way {gave_way} times");
    sender.flush().await.unwrap();
    arrived += take_all(&mut there).len();
    assert_eq!(arrived, accepted);
    let report = control.abort().await;
    assert_eq!(report.handed_to_kernel.bytes, 5 + accepted as u64);
    assert_eq!(report.handed_to_kernel.frames, 1 + (accepted / block.len()) as u64);
}

#[tokio::test]
async fn what_the_kernel_refuses_a_sender_the_actor_learns() {
    let (sender, mut receiver, control, there) = idle().await;
    drop(there);
    assert_eq!(poll_once(pin!(sender.send(b"this is not received"))), Poll::Ready(Ok(())));
    assert!(soon("a flush", sender.flush()).await.is_err());
    assert!(soon("the end", receiver.recv_batch()).await.is_none());
    let report = soon("the report", control.finished()).await;
    assert_eq!((report.handed_to_kernel.frames, report.unsent.len(), report.truncated_sending), (1, 1, 0), "{report}");
}

#[tokio::test]
async fn a_partly_written_frame_is_finished_by_the_actor_or_reported_as_truncated() {
    for finishes in [true, false] {
        let (sender, _receiver, control, mut there) = idle().await;
        let large = vec![7; 1 << 20];
        assert_eq!(poll_once(pin!(sender.send(&large))), Poll::Ready(Ok(())));
        let part = take_all(&mut there).len();
        assert!(0 < part && part < large.len(), "{part} bytes were written at once");
        if finishes {
            let mut there = UnixStream::from_std(there).unwrap();
            let mut rest = vec![0; large.len() - part];
            soon("the rest", there.read_exact(&mut rest)).await.unwrap();
            soon("a flush", sender.flush()).await.unwrap();
            let report = soon("the report", control.abort()).await;
            assert_eq!((report.handed_to_kernel.frames, report.truncated_sending), (2, 0), "{report}");
        } else {
            let report = soon("the report", control.abort()).await;
            let mut rest = Vec::new();
            there.read_to_end(&mut rest).unwrap();
            assert_eq!(report.handed_to_kernel.bytes as usize, 5 + part + rest.len(), "{report}");
            assert_eq!(report.truncated_sending, large.len() - part - rest.len(), "{report}");
            assert_eq!((report.handed_to_kernel.frames, report.unsent.len()), (1, 0), "{report}");
        }
    }
}

/// The kernel takes nothing, so nothing is ever written: what wakes the sender is that the actor took the queued half.
#[tokio::test]
async fn a_sender_that_waits_for_room_is_woken_when_the_actor_takes_the_buffer() {
    const HALF: usize = 32 << 10;
    let (mut here, _there) = std::os::unix::net::UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    while here.write(&[0; 4 << 10]).is_ok() {}
    while here.write(&[0]).is_ok() {}
    let here = UnixStream::from_std(here).unwrap();
    // On this thread the actor has its first turn at the next await.
    let (sender, _receiver, control) = Actor::new(here, Raw).outbox_bytes(2 * HALF).spawn();
    let mut queued = 0;
    while sender.try_send(&[7; 1 << 10]).is_ok() {
        queued += 1;
    }
    assert_eq!(queued, HALF >> 10, "half of the outbox is open to senders");

    let woken = Arc::new(Woken::default());
    let payload = [8; HALF];
    let mut waiting = pin!(sender.send(&payload));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&Arc::clone(&woken).into())).is_pending());
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(woken.0.load(Ordering::Relaxed), 1, "the sender was not told that there is room");
    assert_eq!(poll_once(waiting), Poll::Ready(Ok(())));
    assert!(sender.try_send(&[9]).is_err(), "both halves are full");

    let report = soon("the report", control.abort()).await;
    assert_eq!((report.handed_to_kernel.bytes, report.unsent.len()), (0, queued + 1), "{report}");
}

#[tokio::test]
async fn a_flood_of_try_send_is_rejected_at_the_bound() {
    let (here, _there) = UnixStream::pair().unwrap();
    let (sender, _receiver, control) = Actor::new(here, Raw).outbox_bytes(64 << 10).spawn();
    for _ in 0..3 {
        while sender.try_send(&[7; 1000]).is_ok() {}
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    let report = soon("the report", control.abort()).await;
    assert!(report.unsent.byte_len() <= 64 << 10, "{report}");
}

/// Payload lengths of each sender, and how much the reader takes at a time.
fn traffic() -> impl Strategy<Value = (Vec<Vec<usize>>, Vec<usize>, usize)> {
    let len = prop_oneof![6 => 0..100_usize, 3 => 1000..20_000_usize, 1 => 60_000..150_000_usize];
    let senders = prop::collection::vec(prop::collection::vec(len, 1..40), 1..4);
    (senders, prop::collection::vec(1..100_000_usize, 1..6), 4_000..200_000_usize)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Senders write lone messages and blocks, the actor what the kernel did not take of them and everything else: on the
    /// wire there is each frame once, and those of one sender are in their order.
    #[test]
    fn frames_of_several_senders_arrive_once_and_in_order(
        (senders, pieces, buffer) in traffic()
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
        runtime.block_on(async {
            let (here, mut there) = UnixStream::pair().unwrap();
            set_socket_send_buffer_size(&here, buffer).unwrap();
            let (sender, receiver, control) = Actor::new(here, LengthPrefixed::u32_be()).outbox_bytes(600_000).spawn();
            let total: usize = senders.iter().flatten().map(|len| 4 + 8 + len).sum();
            let reading = tokio::spawn(async move {
                let mut wire = Vec::with_capacity(total);
                for piece in pieces.iter().cycle() {
                    let want = (*piece).min(total - wire.len());
                    if want == 0 {
                        break;
                    }
                    let mut part = vec![0; want];
                    soon("bytes", there.read_exact(&mut part)).await.unwrap();
                    wire.extend_from_slice(&part);
                    tokio::task::yield_now().await;
                }
                (wire, there)
            });
            let sending: Vec<_> = senders.iter().cloned().enumerate().map(|(who, lens)| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    for (n, len) in lens.into_iter().enumerate() {
                        let mut payload = [(who as u32).to_be_bytes(), (n as u32).to_be_bytes()].concat();
                        payload.resize(8 + len, 7);
                        match n % 3 {
                            0 => sender.send(&payload).await.unwrap(),
                            1 => sender.send_shared(Bytes::from(payload)).await.unwrap(),
                            _ => while sender.try_send(&payload).is_err() {
                                tokio::task::yield_now().await;
                            },
                        }
                    }
                    soon("a flush", sender.flush()).await.unwrap();
                })
            }).collect();
            for sending in sending {
                soon("a sender", sending).await.unwrap();
            }
            let (wire, there) = soon("the wire", reading).await.unwrap();
            let mut rest = &wire[..];
            let mut next = vec![0_u32; senders.len()];
            while let Some((len, later)) = rest.split_first_chunk::<4>() {
                let (payload, later) = later.split_at(u32::from_be_bytes(*len) as usize);
                let who = u32::from_be_bytes(payload[..4].try_into().unwrap()) as usize;
                assert_eq!(u32::from_be_bytes(payload[4..8].try_into().unwrap()), next[who]);
                assert_eq!(payload.len(), 8 + senders[who][next[who] as usize]);
                next[who] += 1;
                rest = later;
            }
            assert!(next.iter().zip(&senders).all(|(next, lens)| *next as usize == lens.len()));
            drop((sender, receiver, there));
            let report = soon("the report", control.finished()).await;
            assert_eq!(report.handed_to_kernel.frames as usize, senders.iter().map(Vec::len).sum::<usize>(), "{report}");
        });
    }
}
