//! The law of passing descriptors: whatever the frames, the buffers and the pieces, each frame arrives with exactly its own.
//! From a peer that breaks the rules, all do up to the first that is wrong, and none is lost, doubled or left open.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{future::Future, os::fd::OwnedFd, time::Duration};

use frame_codec::LengthPrefixed;
use proptest::prelude::*;
use rustix::net::sockopt::set_socket_send_buffer_size;
use test_kit::descriptors::{file, frame, send, texts};
use tokio::{net::UnixStream, time::timeout};
use uds_actor::{
    Actor, Reason,
    fds::{Control, Limits, Receiver, Sender},
};

const LONG: Duration = Duration::from_secs(20);

/// Payload length and number of descriptors.
type Shape = (usize, usize);

fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    let len = prop_oneof![6 => 0..40_usize, 3 => 1000..5000_usize, 1 => 30_000..100_000_usize];
    let count = prop_oneof![5 => Just(0_usize), 5 => 1..4_usize, 1 => 4..20_usize];
    prop::collection::vec((len, count), 0..30)
}

/// A payload that tells its number, of this length if that is possible.
fn payload(number: usize, len: usize) -> Vec<u8> {
    let mut payload = format!("{number}:").into_bytes();
    payload.resize(len.max(payload.len()), b'.');
    payload
}

/// The texts in the descriptors of a frame.
fn own(number: usize, count: usize) -> Vec<String> {
    (0..count).map(|place| format!("frame {number}, descriptor {place}")).collect()
}

fn files(number: usize, count: usize) -> Vec<OwnedFd> {
    own(number, count).iter().map(|text| file(text)).collect()
}

fn spawn(stream: UnixStream, outbox_bytes: usize, limits: Limits) -> (Sender, Receiver, Control) {
    Actor::new(stream, LengthPrefixed::u32_be()).outbox_bytes(outbox_bytes).pass_descriptors(limits).spawn()
}

fn in_runtime<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(LONG, future).await.expect("it ends") })
}

async fn drain(receiver: &mut Receiver) -> Vec<(Vec<u8>, Vec<String>)> {
    let mut messages = Vec::new();
    while let Some(batch) = receiver.recv_batch().await {
        messages.extend(batch.iter().map(|(payload, descriptors)| (payload.to_vec(), texts(descriptors))));
    }
    messages
}

/// What a sender does between two frames.
#[derive(Clone, Copy, Debug)]
enum Between {
    Nothing,
    Yield,
    Flush,
}

fn between() -> impl Strategy<Value = Between> {
    prop_oneof![6 => Just(Between::Nothing), 3 => Just(Between::Yield), 1 => Just(Between::Flush)]
}

proptest! {
    #[test]
    fn every_frame_arrives_with_its_own_descriptors(
        shapes in shapes(),
        pauses in prop::collection::vec(between(), 30),
        socket_buffer in 0..20_000_usize,
        outbox_bytes in 2..10_000_usize,
        (queued, held) in (0..10_usize, 1..10_usize),
    ) {
        let expected: Vec<_> =
            shapes.iter().enumerate().map(|(number, &(len, count))| (payload(number, len), own(number, count))).collect();
        let (received, sent, taken) = in_runtime(async {
            let (here, there) = UnixStream::pair().unwrap();
            set_socket_send_buffer_size(&here, socket_buffer).unwrap();
            let limits = Limits::default().with_queued(queued).with_held(held);
            let (sender, _receiver, control) = spawn(here, outbox_bytes, limits);
            let (_sender, mut receiver, there) = spawn(there, 1, limits);
            let sending = tokio::spawn(async move {
                for ((number, (len, count)), pause) in shapes.into_iter().enumerate().zip(pauses) {
                    let mut own = files(number, count);
                    sender.send_with(&payload(number, len), &mut own).await.unwrap();
                    assert!(own.is_empty());
                    match pause {
                        Between::Nothing => {}
                        Between::Yield => tokio::task::yield_now().await,
                        Between::Flush => sender.flush().await.unwrap(),
                    }
                }
                sender.finish().await.unwrap();
            });
            let received = drain(&mut receiver).await;
            sending.await.unwrap();
            let (sent, taken) = (control.abort().await.descriptors, there.abort().await.descriptors);
            (received, sent.sent(), taken.delivered())
        });
        let total: usize = expected.iter().map(|(_, own)| own.len()).sum();
        prop_assert_eq!((sent, taken), (total as u64, total as u64));
        prop_assert!(received == expected, "{} of {} frames", received.len(), expected.len());
    }
}

/// A frame of a peer that may break the rules.
#[derive(Clone, Debug)]
struct Wild {
    len: usize,
    announced: u8,
    /// Attached to its first byte.
    attached: usize,
    /// Attached to a later piece of it, if there is one.
    stray: usize,
    /// Where it is cut into pieces.
    cuts: Vec<prop::sample::Index>,
}

fn wild() -> impl Strategy<Value = Wild> {
    let honest = (0..4_u8).prop_map(|count| (count, usize::from(count), 0));
    let broken = (0..4_u8, 0..4_usize, prop_oneof![3 => Just(0_usize), 1 => 1..3_usize]);
    let counts = prop_oneof![6 => honest, 1 => broken];
    let len = prop_oneof![4 => 0..30_usize, 1 => 900..3000_usize];
    (len, counts, prop::collection::vec(any::<prop::sample::Index>(), 0..3))
        .prop_map(|(len, (announced, attached, stray), cuts)| Wild { len, announced, attached, stray, cuts })
}

impl Wild {
    /// The messages it is sent in, each with the number of its descriptors. Only one that has none may be merged with what
    /// is sent before.
    fn pieces(&self, number: usize) -> Vec<(Vec<u8>, usize)> {
        let bytes = frame(self.announced, &payload(number, self.len));
        let mut cuts: Vec<_> = self.cuts.iter().map(|at| 1 + at.index(bytes.len() - 1)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts.insert(0, 0);
        cuts.push(bytes.len());
        let mut pieces: Vec<_> = cuts.windows(2).map(|at| (bytes[at[0]..at[1]].to_vec(), 0)).collect();
        pieces[0].1 = self.attached;
        if pieces.len() > 1 {
            pieces.last_mut().unwrap().1 = self.stray;
        }
        pieces
    }

    fn is_honest(&self, number: usize) -> bool {
        let pieces = self.pieces(number);
        usize::from(self.announced) == self.attached && pieces[1..].iter().all(|(_, count)| *count == 0)
    }
}

proptest! {
    #[test]
    fn what_a_peer_sends_before_it_breaks_the_rules_arrives_as_it_was_sent(
        frames in prop::collection::vec(wild(), 1..20),
        slow in any::<bool>(),
    ) {
        let honest = frames.iter().enumerate().take_while(|(number, frame)| frame.is_honest(*number)).count();
        let (received, report) = in_runtime(async {
            let (here, there) = UnixStream::pair().unwrap();
            let (_sender, mut receiver, control) = spawn(here, 1, Limits::default());
            'sending: for (number, wild) in frames.iter().enumerate() {
                for (piece, (bytes, count)) in wild.pieces(number).into_iter().enumerate() {
                    let descriptors = if piece == 0 { files(number, count) } else { files(1000 + number, count) };
                    if send(&there, &bytes, &descriptors).is_err() {
                        break 'sending; // it has been given up
                    }
                    if slow {
                        tokio::task::yield_now().await;
                    }
                }
            }
            drop(there);
            let received = drain(&mut receiver).await;
            (received, control.finished().await)
        });
        prop_assert!(received.len() >= honest, "{} received, {honest} honest: {report}", received.len());
        for (number, (found, descriptors)) in received.iter().enumerate() {
            prop_assert_eq!(found, &payload(number, frames[number].len));
            prop_assert_eq!(descriptors.len(), usize::from(frames[number].announced));
            if number < honest {
                prop_assert_eq!(descriptors, &own(number, descriptors.len()));
            }
        }
        // Nothing is delivered twice or out of order, whatever it was attached to.
        let attached: Vec<String> = frames
            .iter()
            .enumerate()
            .flat_map(|(number, wild)| {
                let pieces = wild.pieces(number).into_iter().enumerate();
                pieces.flat_map(move |(piece, (_, count))| if piece == 0 { own(number, count) } else { own(1000 + number, count) })
            })
            .collect();
        let mut rest = attached.iter();
        prop_assert!(received.iter().flat_map(|(_, own)| own).all(|text| rest.any(|attached| attached == text)));
        match report.reason {
            Reason::Ancillary(_) => prop_assert!(honest < frames.len(), "{report}"),
            // Counts that come out even: what one frame lacks, another has too many.
            _ => prop_assert_eq!(received.len(), frames.len(), "{}", report),
        }
        let counts = report.descriptors;
        prop_assert_eq!(counts.received(), counts.delivered() + counts.closed());
    }
}
