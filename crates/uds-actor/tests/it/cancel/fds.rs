//! The handles of an actor that passes descriptors.

use cancel_kit::{Check, Drops};
use frame_codec::LengthPrefixed;
use test_kit::descriptors::{file, texts};
use tokio::net::UnixStream;
use uds_actor::{
    Actor,
    fds::{Batch, Control, Limits, Receiver, Sender},
};

use super::{HANG, passes, words};

/// Two ends that pass descriptors, of which at most one at a time waits in either direction.
fn passing() -> ((Sender, Control), (Receiver, Control)) {
    let (here, there) = UnixStream::pair().expect("a pair");
    let one = Limits::default().with_queued(1).with_held(1);
    let spawn = |stream| Actor::new(stream, LengthPrefixed::u32_be()).pass_descriptors(one).spawn();
    let ((sender, _, control), (_, receiver, there)) = (spawn(here), spawn(there));
    ((sender, control), (receiver, there))
}

/// The payloads with the texts of their descriptors: each word with its own.
fn assert_every_word_with_its_own(received: &[(Vec<u8>, Vec<String>)]) {
    let expected: Vec<_> = words().map(|word| (word.clone().into_bytes(), vec![word])).collect();
    assert_eq!(received, expected);
}

fn open(batch: &Batch) -> impl Iterator<Item = (Vec<u8>, Vec<String>)> {
    batch.iter().map(|(payload, own)| (payload.to_vec(), texts(own)))
}

#[test]
fn send_with_queues_a_frame_and_its_descriptors_once() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let ((sender, control), (mut receiver, _there)) = passing();
        let receiving = tokio::spawn(async move {
            let mut received = Vec::new();
            while let Some(batch) = receiver.recv_batch().await {
                received.extend(open(&batch));
            }
            received
        });
        for word in words() {
            let mut own = vec![file(&word)];
            drops.drive(async || sender.send_with(word.as_bytes(), &mut own).await).await.expect("room comes");
            assert!(own.is_empty());
        }
        sender.finish().await.expect("the connection is open");
        let received = receiving.await.expect("no panic");
        assert_every_word_with_its_own(&received);
        let counts = control.abort().await.descriptors;
        (received.len(), counts.sent(), counts.unsent())
    });
    passes(survey, 10);
}

#[test]
fn a_batch_with_descriptors_is_taken_only_when_it_is_given() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let ((sender, _control), (mut receiver, there)) = passing();
        let sending = tokio::spawn(async move {
            for word in words() {
                sender.send_with(word.as_bytes(), &mut vec![file(&word)]).await.expect("room comes");
            }
            sender.finish().await.expect("the connection is open");
        });
        let mut received = Vec::new();
        while let Some(batch) = drops.drive(async || receiver.recv_batch().await).await {
            received.extend(open(&batch));
        }
        sending.await.expect("no panic");
        assert_every_word_with_its_own(&received);
        let counts = there.abort().await.descriptors;
        (received.len(), counts.received(), counts.delivered(), counts.closed())
    });
    passes(survey, 5);
}
