//! Messages taken one by one: in order, each once, mixed with batches, and those that are left are reported as lost.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use mpsr_server::{Bind, Count, Delimited, Event, Funnel, Report};
use test_kit::soon::{LONG, soon};
use tokio::{io::AsyncWriteExt as _, net::UnixStream};

/// A funnel that has one batch of five lines waiting, of a producer that stays.
async fn five() -> (tempfile::TempDir, Funnel, UnixStream) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    let funnel = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).start().await.unwrap();
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"1\n22\n333\n4444\n55555\n").await.unwrap();
    (dir, funnel, client)
}

async fn message(funnel: &mut Funnel) -> Option<String> {
    let message = soon("a message", funnel.recv_message()).await?;
    assert_eq!(message.producer().peer.pid(), Some(std::process::id()));
    Some(String::from_utf8(message.payload().to_vec()).unwrap())
}

fn texts(event: Option<Event>) -> Vec<String> {
    let Some(Event::Delivery(delivery)) = event else { panic!("{event:?}") };
    delivery.into_iter().map(|message| String::from_utf8(message.to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn one_loop_takes_every_message_of_every_batch_until_the_end() {
    let (_dir, mut funnel, mut client) = five().await;
    let handle = funnel.handle();
    let writing = tokio::spawn(async move {
        client.write_all(b"6\n").await.unwrap();
        handle.shutdown(LONG);
    });
    let mut all = Vec::new();
    while let Some(message) = message(&mut funnel).await {
        all.push(message);
    }
    assert_eq!(all, ["1", "22", "333", "4444", "55555", "6"]);
    writing.await.unwrap();
    let report = soon("the report", funnel.finished()).await;
    assert_eq!((report.delivered, report.lost.frames), (Count { frames: 6, bytes: 16 }, 0));
}

#[tokio::test]
async fn a_batch_that_is_asked_for_in_the_middle_of_another_is_its_rest() {
    let (_dir, mut funnel, _client) = five().await;
    assert_eq!(message(&mut funnel).await.as_deref(), Some("1"));
    assert_eq!(message(&mut funnel).await.as_deref(), Some("22"));
    assert_eq!(texts(soon("the rest", funnel.next()).await), ["333", "4444", "55555"]);
    // It is not given twice, and an empty rest is no delivery.
    assert!(tokio::time::timeout(Duration::from_millis(50), funnel.next()).await.is_err());
    let report = soon("the report", funnel.finished()).await;
    assert_eq!((report.delivered.frames, report.lost.frames), (5, 0), "{report}");
}

#[tokio::test]
async fn messages_that_were_not_taken_are_reported_as_lost() {
    for taken in 1..=5_u64 {
        let (_dir, mut funnel, client) = five().await;
        for _ in 0..taken {
            message(&mut funnel).await.unwrap();
        }
        let Report { received, delivered, lost, .. } = soon("the report", funnel.finished()).await;
        let bytes = (1..=taken).sum::<u64>();
        assert_eq!((received, delivered), (Count { frames: 5, bytes: 15 }, Count { frames: taken, bytes }));
        assert_eq!(lost, Count { frames: 5 - taken, bytes: 15 - bytes });
        drop(client);
    }
}
