//! The handles of a stream's actor.

use bytes::Bytes;
use cancel_kit::{Check, Drops, Pace, Wire};
use frame_codec::Delimited;
use uds_actor::{Actor, Control, Owned, Receiver, Report, Sender};

use super::{HANG, counts, passes, words};

/// A tiny actor over a stream of which the test sees everything.
fn spawn(wire: Wire) -> (Sender, Receiver, Control) {
    Actor::new(Owned(wire), Delimited::lines()).outbox_bytes(2).inbox_bytes(64).spawn()
}

/// Checks a way of sending: every word must arrive once, and the report must say so.
fn check_sending(send: impl AsyncFn(&Drops, &Sender, String)) {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let wire = Wire::new("", Pace::eager()).held_open().writing(Pace::bytes(3));
        let tap = wire.tap();
        let (sender, _receiver, control) = spawn(wire);
        for word in words() {
            send(&drops, &sender, word).await;
        }
        sender.finish().await.expect("the connection is open");
        tap.end();
        let report = control.finished().await;
        assert_eq!(counts(&report), (12, 0, 0, 0));
        String::from_utf8(tap.written()).expect("words")
    });
    passes(survey, 10);
}

#[test]
fn send_queues_a_frame_once() {
    check_sending(async |drops, sender, word| {
        drops.drive(async || sender.send(word.as_bytes()).await).await.expect("room comes");
    });
}

#[test]
fn send_shared_queues_a_frame_once() {
    check_sending(async |drops, sender, word| {
        let word = Bytes::from(word);
        drops.drive(async || sender.send_shared(word.clone()).await).await.expect("room comes");
    });
}

#[test]
fn flush_waits_for_what_was_queued_before_it() {
    check_sending(async |drops, sender, word| {
        sender.send(word.as_bytes()).await.expect("room comes");
        drops.drive(async || sender.flush().await).await.expect("the connection is open");
    });
}

#[test]
fn finish_once_polled_finishes() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let wire = Wire::new("", Pace::bytes(3));
        let tap = wire.tap();
        let (sender, _receiver, control) = spawn(wire);
        sender.send(b"first").await.expect("room");
        sender.send(b"last").await.expect("room");
        drops.drive(async || sender.clone().finish().await).await.expect("it is written");
        let report = control.finished().await;
        (String::from_utf8(tap.written()), tap.is_closed(), counts(&report))
    });
    passes(survey, 1);
}

#[test]
fn recv_batch_takes_a_frame_only_when_it_gives_it() {
    let text: String = words().map(|word| word + "\n").collect();
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let (_sender, mut receiver, control) = spawn(Wire::new(text.clone(), Pace::bytes(5)));
        let mut received = Vec::new();
        while let Some(batch) = drops.drive(async || receiver.recv_batch().await).await {
            received.extend(batch.iter().map(<[u8]>::to_vec));
        }
        assert_eq!(received, words().map(String::into_bytes).collect::<Vec<_>>());
        counts(&control.abort().await)
    });
    passes(survey, 5);
}

/// Checks a way of receiving one message at a time: every word comes once.
fn check_receiving(receive: impl AsyncFn(&Drops, &mut Receiver) -> Option<Vec<u8>>) {
    let text: String = words().map(|word| word + "\n").collect();
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let (_sender, mut receiver, control) = spawn(Wire::new(text.clone(), Pace::bytes(5)));
        let mut received = Vec::new();
        while let Some(message) = receive(&drops, &mut receiver).await {
            received.push(message);
        }
        assert_eq!(received, words().map(String::into_bytes).collect::<Vec<_>>());
        counts(&control.abort().await)
    });
    passes(survey, 5);
}

#[test]
fn recv_takes_a_message_only_when_it_gives_it() {
    check_receiving(async |drops, receiver| drops.drive(async || receiver.recv().await.map(<[u8]>::to_vec)).await);
}

#[test]
fn recv_shared_takes_a_message_only_when_it_gives_it() {
    check_receiving(async |drops, receiver| {
        drops.drive(async || receiver.recv_shared().await).await.map(|message| message.to_vec())
    });
}

/// Checks a way of ending a connection that has something queued: the report must be the same.
fn check_ending(end: impl AsyncFn(&Drops, &Control) -> Report) {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let wire = Wire::new("question\n", Pace::eager()).writing(Pace::bytes(3));
        let tap = wire.tap();
        let (sender, mut receiver, control) = spawn(wire);
        assert_eq!(receiver.recv_batch().await.map(|batch| batch.len()), Some(1));
        sender.send(b"first").await.expect("room");
        sender.send(b"last").await.expect("room");
        let report = end(&drops, &control).await;
        assert_eq!(counts(&control.finished().await), counts(&report), "it says the same to everybody");
        (counts(&report), report.truncated_sending, tap.written())
    });
    passes(survey, 1);
}

#[test]
fn close_is_asked_for_at_the_call_and_its_report_is_not_lost() {
    check_ending(async |drops, control| drops.drive(|| control.close(HANG)).await);
}

#[test]
fn drain_is_asked_for_at_the_call_and_its_report_is_not_lost() {
    check_ending(async |drops, control| drops.drive(|| control.drain(HANG)).await);
}

#[test]
fn abort_is_asked_for_at_the_call_and_its_report_is_not_lost() {
    check_ending(async |drops, control| drops.drive(|| control.abort()).await);
}

#[test]
fn finished_may_be_asked_again_and_again() {
    check_ending(async |drops, control| {
        drop(control.close(HANG));
        drops.drive(|| control.finished()).await
    });
}
