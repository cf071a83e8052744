//! Every async method that says it is cancel safe, with its futures dropped in every place.

#[path = "support/descriptors.rs"]
mod descriptors;

use std::{fmt::Debug, time::Duration};

use bytes::Bytes;
use cancel_kit::{Check, Drops, Error, Pace, Survey, Wire};
use frame_codec::{Delimited, LengthPrefixed};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};
use uds_actor::{Actor, Bind, Connect, Control, Owned, Receiver, Report, Sender, fds};

use self::descriptors::{file, texts};

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

/// A tiny actor over a stream of which the test sees everything.
fn spawn(wire: Wire) -> (Sender, Receiver, Control) {
    Actor::new(Owned(wire), Delimited::lines()).outbox_bytes(2).inbox_bytes(64).spawn()
}

/// The part of a report that says what became of the frames.
fn account(report: &Report) -> (u64, usize, u64, u64) {
    (report.handed_to_kernel.frames, report.returned.len(), report.delivered.frames, report.lost.frames)
}

/// Checks a way of sending: what arrives must be every word once, and the account must say so.
fn check_sending(send: impl AsyncFn(&Drops, &Sender, String)) {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let wire = Wire::new("", Pace::eager()).held_open().writing(Pace::bytes(3));
        let tap = wire.tap();
        let (sender, _receiver, control) = spawn(wire);
        for word in words() {
            send(&drops, &sender, word).await;
        }
        sender.finish().await.expect("nobody closes before");
        tap.end();
        let report = control.finished().await;
        assert_eq!(account(&report), (12, 0, 0, 0));
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
        drops.drive(async || sender.flush().await).await.expect("nobody closes before");
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
        (String::from_utf8(tap.written()), tap.is_closed(), account(&report))
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
        account(&control.abort().await)
    });
    passes(survey, 5);
}

/// Two ends that pass descriptors, of which at most one at a time waits in either direction.
fn passing() -> ((fds::Sender, Control), (fds::Receiver, Control)) {
    let (here, there) = UnixStream::pair().expect("a pair");
    let one = fds::Limits::default().with_queued(1).with_held(1);
    let spawn = |stream| Actor::new(stream, LengthPrefixed::u32_be()).pass_descriptors(one).spawn();
    let ((sender, _, control), (_, receiver, there)) = (spawn(here), spawn(there));
    ((sender, control), (receiver, there))
}

/// The payloads with the texts of their descriptors: each word with its own.
fn assert_every_word_with_its_own(received: &[(Vec<u8>, Vec<String>)]) {
    let expected: Vec<_> = words().map(|word| (word.clone().into_bytes(), vec![word])).collect();
    assert_eq!(received, expected);
}

fn open(batch: &fds::Batch) -> impl Iterator<Item = (Vec<u8>, Vec<String>)> {
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
        sender.finish().await.expect("nobody closes before");
        let received = receiving.await.expect("no panic");
        assert_every_word_with_its_own(&received);
        let account = control.abort().await.descriptors.expect("it passes descriptors");
        (received.len(), account.sent(), account.returned())
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
            sender.finish().await.expect("nobody closes before");
        });
        let mut received = Vec::new();
        while let Some(batch) = drops.drive(async || receiver.recv_batch().await).await {
            received.extend(open(&batch));
        }
        sending.await.expect("no panic");
        assert_every_word_with_its_own(&received);
        let account = there.abort().await.descriptors.expect("it passes descriptors");
        (received.len(), account.received(), account.delivered(), account.closed())
    });
    passes(survey, 5);
}

/// Checks a way of ending a connection that has something queued: the account must be the same.
fn check_ending(end: impl AsyncFn(&Drops, &Control) -> Report) {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let wire = Wire::new("question\n", Pace::eager()).writing(Pace::bytes(3));
        let tap = wire.tap();
        let (sender, mut receiver, control) = spawn(wire);
        assert_eq!(receiver.recv_batch().await.map(|batch| batch.len()), Some(1));
        sender.send(b"first").await.expect("room");
        sender.send(b"last").await.expect("room");
        let report = end(&drops, &control).await;
        assert_eq!(account(&control.finished().await), account(&report), "it says the same to everybody");
        (account(&report), report.cut_sending, tap.written())
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

#[test]
fn accept_loses_no_connection() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("in.sock");
        let mut listener = Bind::path(&path).listen().expect("a listener");
        let callers = tokio::spawn(async move {
            for number in 0..5 {
                let mut stream = UnixStream::connect(&path).await.expect("it listens");
                stream.write_u8(number).await.expect("room");
            }
        });
        let mut numbers = Vec::new();
        for _ in 0..5 {
            let (mut stream, _) = drops.drive(async || listener.accept().await).await.expect("it listens");
            numbers.push(stream.read_u8().await.expect("a number"));
        }
        callers.await.expect("no panic");
        let rest = listener.into_draining().accept().await.expect("it drains");
        (numbers, rest.is_none())
    });
    passes(survey, 1);
}

#[test]
fn connect_makes_no_connection_behind_its_back() {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("in.sock");
        let connect = Connect::path(&path).deadline(HANG);
        let server = tokio::spawn(async move {
            // Not there at first, so that there is something to wait for and to drop.
            tokio::time::sleep(Duration::from_millis(8)).await;
            Bind::path(&path).listen().expect("a listener")
        });
        let mut stream = drops.drive(async || connect.connect().await).await.expect("it comes");
        stream.write_u8(7).await.expect("room");
        let mut draining = server.await.expect("no panic").into_draining();
        let mut numbers = Vec::new();
        while let Some((mut stream, _)) = draining.accept().await.expect("it drains") {
            numbers.push(stream.read_u8().await.ok());
        }
        numbers
    });
    passes(survey, 1);
}
