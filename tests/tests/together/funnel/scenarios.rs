//! Sockets that come and go, and funnels that are restarted.

use frame_codec::{Delimited, LengthPrefixed, testing};
use mpsr_server::{Event, Funnel, Limits, Parting};
use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use uds_actor::{Actor, Bind, Connect};

use crate::funnel::{
    framings::{self, Choice},
    rig::{Everything, LONG, Rig, Source, soon},
};

#[tokio::test]
async fn sockets_that_come_and_go_under_the_same_names_deliver_everything_they_were_sent() {
    churn(&framings::named("lines"), 12).await;
}

#[tokio::test]
async fn in_every_framing_sockets_that_come_and_go_deliver_everything_they_were_sent() {
    for choice in framings::all() {
        churn(&choice, 2).await;
    }
}

async fn churn(choice: &Choice, rounds: usize) {
    const NAMES: usize = 4;
    // Eight bytes each, which is what the framing of fixed length carries.
    let lines = if choice.is_one_message() { 1 } else { 50 };
    let messages = move |name: usize, round: usize| -> Vec<Vec<u8>> {
        (0..lines).map(|line| format!("{name} {round:02} {line:03}").into_bytes()).collect()
    };
    let mut rig = Rig::start(Source::Directory, choice.framing.clone(), Limits::default()).await;
    let mut serving = JoinSet::new();
    for name in 0..NAMES {
        let path = rig.dir.path().join(format!("{name}.sock"));
        let framing = choice.framing.clone();
        serving.spawn(async move {
            for round in 0..rounds {
                let server = UnixListener::bind(&path).unwrap();
                let (mut client, _) = soon("the funnel", server.accept()).await.unwrap();
                // Some vanish while they are still sending, some when they are through.
                if round % 2 == 0 {
                    std::fs::remove_file(&path).unwrap();
                }
                for message in messages(name, round) {
                    client.write_all(&testing::encode(&framing, &[message]).unwrap()).await.unwrap();
                }
                drop(client);
                if round % 2 == 1 {
                    std::fs::remove_file(&path).unwrap();
                }
            }
        });
    }
    let mut told = Everything::default();
    told.until_left(&mut rig, NAMES * rounds).await;
    soon("the producers", serving.join_all()).await;
    let mut seen: Vec<_> = told.in_order().into_iter().map(|producer| producer.messages.concat()).collect();
    let each = (0..NAMES).flat_map(|name| (0..rounds).map(move |round| (name, round)));
    let sent: Vec<_> = each.map(|(name, round)| messages(name, round)).collect();
    if choice.keeps_messages() {
        let mut messages: Vec<_> = told.in_order().into_iter().map(|producer| producer.messages.clone()).collect();
        messages.sort();
        assert_eq!(messages, sent, "{}", choice.name);
    }
    seen.sort();
    assert_eq!(seen, sent.iter().map(|messages| messages.concat()).collect::<Vec<_>>(), "{}", choice.name);
    rig.funnel.handle().shutdown(LONG);
    let report = told.until_end(rig).await;
    told.check(&report);
}

#[tokio::test]
async fn restarts_lose_nothing_of_producers_that_had_written_and_closed() {
    const ROUNDS: usize = 15;
    const PRODUCERS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    for round in 0..ROUNDS {
        let framing = LengthPrefixed::u32_be();
        let mut funnel = Funnel::builder(framing).listen(Bind::path(&path)).start().await.unwrap();
        // All of them have written and closed before the funnel has accepted any: they are in the kernel's queue.
        let mut sent = Vec::new();
        for producer in 0..PRODUCERS {
            let message = format!("{round} {producer}").repeat(1 + producer * 500);
            let stream = UnixStream::connect(&path).await.unwrap();
            let (sender, _receiver, control) = Actor::new(stream, framing).spawn();
            sender.send(message.as_bytes()).await.unwrap();
            sender.flush().await.unwrap();
            sent.push(message);
            // Some are still there when it stops.
            if producer % 2 == 0 {
                drop(control.abort());
            } else {
                tokio::spawn(async move { (sender, control.finished().await) });
            }
        }
        funnel.handle().shutdown(LONG);
        let mut received = Vec::new();
        while let Some(event) = soon("an event", funnel.next()).await {
            match event {
                Event::Delivery(delivery) => {
                    received.extend(delivery.into_iter().map(|message| String::from_utf8(message.to_vec()).unwrap()));
                }
                Event::Left(left) => {
                    assert!(matches!(left.parting, Parting::Closed | Parting::Shutdown), "{left}");
                }
                _ => {}
            }
        }
        received.sort();
        sent.sort();
        assert_eq!(received, sent, "round {round}");
        let report = soon("the report", funnel.finished()).await;
        assert_eq!(
            (report.received.frames, report.lost.frames, report.truncated),
            (PRODUCERS as u64, 0, 0),
            "{report}"
        );
        assert!(!path.exists(), "the name is withdrawn");
    }
}

#[tokio::test]
async fn a_producer_that_waits_for_a_late_funnel_is_received_from() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    let mut waiting = JoinSet::new();
    for producer in 0..5 {
        let path = path.clone();
        waiting.spawn(async move {
            let stream = Connect::path(&path).deadline(LONG).connect().await.unwrap();
            let (sender, _receiver, control) = Actor::new(stream, Delimited::lines()).spawn();
            sender.send(format!("from {producer}").as_bytes()).await.unwrap();
            sender.finish().await.unwrap();
            control.finished().await.handed_to_kernel.frames
        });
    }
    let mut funnel = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).start().await.unwrap();
    let mut lines = Vec::new();
    while lines.len() < 5 {
        lines.extend(soon("a line", funnel.recv()).await.unwrap().into_iter().map(|line| line.to_vec()));
    }
    lines.sort();
    assert_eq!(lines, (0..5).map(|producer| format!("from {producer}").into_bytes()).collect::<Vec<_>>());
    // They end when the funnel has read their end and closes its side.
    while !waiting.is_empty() {
        tokio::select! {
            Some(sent) = waiting.join_next() => assert_eq!(sent.unwrap(), 1),
            event = soon("an event", funnel.next()) => drop(event),
        }
    }
}
