//! The funnel loses and doubles nothing however often the futures that take from it are dropped.

use std::{collections::BTreeMap, path::Path, time::Duration};

use cancel_kit::{Check, Drops};
use frame_codec::Delimited;
use mpsr_server::{Delivery, Event, Funnel, Report};
use tokio::{io::AsyncWriteExt as _, net::UnixStream, task::JoinSet};
use uds_actor::Bind;

const HANG: Duration = Duration::from_secs(20);
const PRODUCERS: u64 = 3;
const MESSAGES: u64 = 6;

/// What each producer's messages were, by what they say of themselves, in the order in which they came.
type Received = BTreeMap<String, Vec<String>>;

async fn produce(path: &Path) {
    let mut producers = JoinSet::new();
    for producer in 0..PRODUCERS {
        let path = path.to_owned();
        producers.spawn(async move {
            let mut stream = UnixStream::connect(path).await.expect("the funnel listens");
            for message in 0..MESSAGES {
                stream.write_all(format!("{producer}:{message}\n").as_bytes()).await.expect("the funnel reads");
                tokio::task::yield_now().await;
            }
        });
    }
    producers.join_all().await;
}

fn note(received: &mut Received, delivery: &Delivery) {
    delivery.into_iter().for_each(|message| note_message(received, message));
}

fn note_message(received: &mut Received, message: &[u8]) {
    let text = String::from_utf8_lossy(message);
    let (producer, message) = text.split_once(':').expect("a message says who sent it");
    received.entry(producer.into()).or_default().push(message.into());
}

/// Runs a funnel with its producers; `take` takes messages and notes them, and returns `false` at the end.
fn check(take: impl AsyncFn(&Drops, &mut Funnel, &mut Received) -> bool) {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("in.sock");
        let funnel = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).start().await;
        let mut funnel = funnel.expect("a funnel");
        let handle = funnel.handle();
        let producing = tokio::spawn(async move {
            produce(&path).await;
            handle.shutdown(HANG);
        });
        let mut received = Received::new();
        while take(&drops, &mut funnel, &mut received).await {}
        producing.await.expect("no panic");
        let Report { producers, delivered, lost, .. } = funnel.finished().await;
        (received, producers, delivered.frames, lost.frames)
    });
    match survey {
        Ok(survey) => assert!(survey.dropped >= PRODUCERS, "{survey}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn recv_takes_messages_only_when_it_gives_them() {
    check(async |drops, funnel, received| match drops.drive(async || funnel.recv().await).await {
        Some(delivery) => {
            note(received, &delivery);
            true
        }
        None => false,
    });
}

#[test]
fn next_takes_events_only_when_it_gives_them() {
    check(async |drops, funnel, received| match drops.drive(async || funnel.next().await).await {
        Some(Event::Delivery(delivery)) => {
            note(received, &delivery);
            true
        }
        Some(_) => true,
        None => false,
    });
}

#[test]
fn recv_message_takes_a_message_only_when_it_gives_it() {
    check(async |drops, funnel, received| {
        let next = async || funnel.recv_message().await.map(|message| message.payload().to_vec());
        match drops.drive(next).await {
            Some(message) => {
                note_message(received, &message);
                true
            }
            None => false,
        }
    });
}
