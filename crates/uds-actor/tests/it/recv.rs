//! One message at a time: what a batch would have given, each once, and counted when it is given.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use test_kit::soon::{LONG, soon};
use tokio::{io::AsyncWriteExt as _, net::UnixStream, sync::mpsc};
use uds_actor::{
    Actor, Bytes, Control, Delimited, Receiver, Report, Sender, spawn_with_channels, spawn_with_tagged_channels,
};

/// An actor whose peer wrote these lines and closed.
async fn hearing(lines: &str, inbox_bytes: usize) -> (Sender, Receiver, Control) {
    let (here, mut there) = UnixStream::pair().unwrap();
    let handles = Actor::new(here, Delimited::lines()).inbox_bytes(inbox_bytes).spawn();
    there.write_all(lines.as_bytes()).await.unwrap();
    handles
}

/// Received, delivered, lost: frames and bytes.
fn counts(report: &Report) -> [(u64, u64); 3] {
    [report.received, report.delivered, report.lost].map(|count| (count.frames, count.bytes))
}

#[tokio::test]
async fn every_way_of_receiving_goes_on_where_the_last_one_stopped() {
    let (_sender, mut receiver, control) = hearing("a\nbc\n\ndef\ng\nhi\n", 1 << 20).await;
    assert_eq!(soon("lent", receiver.recv()).await, Some(&b"a"[..]));
    assert_eq!(soon("shared", receiver.recv_shared()).await, Some(Bytes::from("bc")));
    assert_eq!(soon("lent", receiver.recv()).await, Some(&b""[..]));
    let rest = soon("the rest", receiver.recv_batch()).await.unwrap();
    assert_eq!(rest.iter().collect::<Vec<_>>(), [&b"def"[..], b"g", b"hi"]);
    assert_eq!(soon("the end", receiver.recv()).await, None);
    assert_eq!((receiver.recv_shared().await, receiver.recv_batch().await.is_none()), (None, true));
    assert_eq!(counts(&control.finished().await), [(6, 9), (6, 9), (0, 0)]);
}

#[tokio::test]
async fn a_message_is_delivered_when_it_is_given_and_not_with_its_batch() {
    let (_sender, mut receiver, control) = hearing("one\ntwo\nthree\nfour\n", 1 << 20).await;
    assert_eq!(soon("one", receiver.recv()).await, Some(&b"one"[..]));
    let kept = soon("two", receiver.recv_shared()).await.unwrap();
    let report = soon("the report", control.drain(LONG)).await;
    assert_eq!(counts(&report), [(4, 15), (2, 6), (0, 0)], "the receiver lives, and may take the rest");
    drop(receiver);
    assert_eq!(counts(&control.finished().await), [(4, 15), (2, 6), (2, 9)], "it did not");
    assert_eq!(kept, "two", "what was given stays given");
}

#[tokio::test]
async fn one_at_a_time_is_enough_where_the_inbox_holds_one_read() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (_sender, mut receiver, control) = Actor::new(here, Delimited::lines()).inbox_bytes(0).spawn();
    let writing = tokio::spawn(async move {
        for number in 0..20_000 {
            there.write_all(format!("line {number}\n").as_bytes()).await.unwrap();
        }
    });
    for number in 0..20_000 {
        let line = soon("a line", receiver.recv()).await.map(<[u8]>::to_vec);
        assert_eq!(line, Some(format!("line {number}").into_bytes()));
    }
    assert_eq!(soon("the end", receiver.recv()).await, None);
    soon("the writer", writing).await.unwrap();
    assert_eq!(soon("the report", control.abort()).await.delivered.frames, 20_000);
}

#[tokio::test]
async fn a_message_that_is_lent_comes_from_the_memory_it_was_read_into() {
    let (_sender, mut receiver, _control) = hearing("first\nsecond\n", 1 << 20).await;
    let first = soon("the first", receiver.recv_shared()).await.unwrap();
    let second = soon("the second", receiver.recv()).await.unwrap();
    let distance = second.as_ptr() as usize - first.as_ptr() as usize;
    assert_eq!(distance, "first\n".len(), "nothing was copied");
}

#[tokio::test]
async fn messages_of_many_connections_come_with_the_tag_of_theirs() {
    let (inbound, mut messages) = mpsc::channel(4);
    let mut peers = Vec::new();
    for tag in ["left", "right"] {
        let (here, there) = UnixStream::pair().unwrap();
        let (replies, outbound) = mpsc::channel(4);
        let control = spawn_with_tagged_channels(here, Delimited::lines(), (tag, 7), inbound.clone(), outbound);
        peers.push((tag, there, replies, control));
    }
    drop(inbound);
    for round in 0..50 {
        for (tag, there, ..) in &mut peers {
            there.write_all(format!("{tag} {round}\n").as_bytes()).await.unwrap();
            let ((from, seven), message) = soon("a message", messages.recv()).await.unwrap();
            assert_eq!((from, seven, &message[..]), (*tag, 7, format!("{tag} {round}").as_bytes()));
        }
    }
    for (_, there, replies, control) in peers {
        drop((there, replies));
        assert_eq!(soon("the report", control.finished()).await.delivered.frames, 50);
    }
    assert!(soon("the end", messages.recv()).await.is_none());
}

#[tokio::test]
async fn what_a_closed_channel_did_not_take_is_not_delivered() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (inbound, mut messages) = mpsc::channel(1);
    let (_replies, outbound) = mpsc::channel(1);
    let control = spawn_with_channels(here, Delimited::lines(), inbound, outbound);
    there.write_all(b"one\ntwo\nthree\nfour\n").await.unwrap();
    assert_eq!(soon("one", messages.recv()).await, Some(Bytes::from("one")));
    // One message fills the channel, and the next waits in front of it.
    while messages.is_empty() {
        tokio::task::yield_now().await;
    }
    drop((messages, there));
    let report = soon("the report that says so", async {
        loop {
            let report = control.abort().await;
            if report.received.frames == report.delivered.frames + report.lost.frames {
                return report;
            }
            tokio::task::yield_now().await;
        }
    });
    // One was taken, and one was in the channel.
    assert_eq!(counts(&report.await), [(4, 15), (2, 6), (2, 9)]);
}
