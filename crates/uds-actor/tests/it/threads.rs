//! The promises of an actor when its handles are on other threads: many short lives, each ended somewhere in the middle.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use bytes::Bytes;
use frame_codec::{Delimited, LengthPrefixed};
use test_kit::soon::{LONG, soon};
use tokio::{net::UnixStream, task::spawn_blocking, time::timeout};
use uds_actor::{Actor, Reason, Receiver};

/// One end for an actor, the other for a thread.
fn pair() -> (UnixStream, std::os::unix::net::UnixStream) {
    let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    there.set_read_timeout(Some(LONG)).unwrap();
    there.set_write_timeout(Some(LONG)).unwrap();
    (UnixStream::from_std(here).unwrap(), there)
}

async fn count(mut receiver: Receiver) -> u64 {
    let mut frames = 0;
    while let Some(batch) = receiver.recv_batch().await {
        frames += batch.len() as u64;
    }
    frames
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drain_receives_everything_that_was_written_before_it() {
    for round in 0_u64..150 {
        let (here, mut there) = pair();
        let (_sender, receiver, control) = Actor::new(here, Delimited::lines()).inbox_bytes(1 << (round % 18)).spawn();
        let counting = tokio::spawn(count(receiver));
        let lines = round * 37 % 5000;
        let there = soon(
            "the peer",
            spawn_blocking(move || {
                for line in 0..lines {
                    writeln!(there, "{line} of {lines}").unwrap();
                }
                there
            }),
        );
        let there = there.await.unwrap();
        let report = soon("the drain", control.drain(LONG)).await;
        assert!(matches!(report.reason, Reason::Closed), "round {round}: {}", report.reason);
        assert_eq!(report.received.frames, lines, "round {round}");
        assert_eq!(soon("the count", counting).await.unwrap(), lines, "round {round}");
        drop(there);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_accepted_frame_is_handed_over_truncated_or_unsent_whenever_the_connection_ends() {
    for round in 0_u64..90 {
        let (here, mut there) = pair();
        let (sender, _receiver, control) =
            Actor::new(here, LengthPrefixed::u32_be()).outbox_bytes(1 << (8 + round % 10)).spawn();
        let reading = spawn_blocking(move || {
            let mut wire = Vec::new();
            let _ = there.read_to_end(&mut wire);
            wire
        });
        let senders: Vec<_> = (0..3_u8)
            .map(|who| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let mut accepted: u64 = 0;
                    loop {
                        let payload = vec![who; 1 + (accepted as usize * 131) % 6000];
                        let sent = match accepted % 3 {
                            0 => sender.send_shared(Bytes::from(payload)).await.map_err(|unsent| unsent.reason),
                            1 => sender.send(&payload).await,
                            // Cancelled as often as not: then nothing is sent.
                            _ => match timeout(Duration::ZERO, sender.send(&payload)).await {
                                Ok(sent) => sent,
                                Err(_) => continue,
                            },
                        };
                        if sent.is_err() {
                            return accepted;
                        }
                        accepted += 1;
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_micros(round * 50)).await; // the middle of something
        let report = match round % 3 {
            0 => soon("the abort", control.abort()).await,
            1 => soon("the close", control.close(Duration::from_millis(1))).await,
            _ => soon("the drain", control.drain(LONG)).await,
        };
        let mut accepted = 0;
        for sender in senders {
            accepted += soon("a sender", sender).await.unwrap();
        }
        let truncated = u64::from(report.truncated_sending > 0);
        assert_eq!(
            report.handed_to_kernel.frames + truncated + report.unsent.len() as u64,
            accepted,
            "round {round}: {report}"
        );
        let wire = soon("the wire", reading).await.unwrap();
        assert_eq!(wire.len() as u64, report.handed_to_kernel.bytes, "round {round}: {report}");
        let mut rest = &wire[..];
        let mut whole = 0;
        while let Some((len, payload)) = rest.split_first_chunk::<4>()
            && let Some((_, later)) = payload.split_at_checked(u32::from_be_bytes(*len) as usize)
        {
            whole += 1;
            rest = later;
        }
        assert_eq!((whole, u64::from(!rest.is_empty())), (report.handed_to_kernel.frames, truncated), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn frames_of_one_sender_arrive_in_order_through_small_boxes() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, _r, control) = Actor::new(here, LengthPrefixed::u32_be()).outbox_bytes(600).spawn();
    let (_s, mut receiver, _c) = Actor::new(there, LengthPrefixed::u32_be()).inbox_bytes(500).spawn();
    let senders: Vec<_> = (0..4_u32)
        .map(|who| {
            let sender = sender.clone();
            tokio::spawn(async move {
                for n in 0..10_000_u32 {
                    sender.send(&[who.to_be_bytes(), n.to_be_bytes()].concat()).await.unwrap();
                }
                sender.flush().await.unwrap();
            })
        })
        .collect();
    drop(sender);
    let mut next = [0_u32; 4];
    while let Some(batch) = soon("a batch", receiver.recv_batch()).await {
        for frame in &batch {
            let who = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
            assert_eq!(u32::from_be_bytes(frame[4..].try_into().unwrap()), next[who]);
            next[who] += 1;
        }
    }
    assert_eq!(next, [10_000; 4]);
    for sender in senders {
        soon("a sender", sender).await.unwrap();
    }
    drop((_s, receiver, _c));
    assert_eq!(soon("the report", control.finished()).await.handed_to_kernel.frames, 40_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_the_report_is_there_the_socket_is_closed() {
    for round in 0..1000 {
        let (here, there) = UnixStream::pair().unwrap();
        let (_sender, mut receiver, control) = Actor::new(here, Delimited::lines()).spawn();
        if round % 2 == 0 {
            soon("the report", control.abort()).await;
        } else {
            drop(control.abort());
            assert!(soon("the end", receiver.recv_batch()).await.is_none());
        }
        let closed = there.try_write(b"x").unwrap_err();
        assert_eq!(closed.kind(), std::io::ErrorKind::BrokenPipe, "round {round}");
    }
}
