//! Sockets that come and go, and funnels that are restarted.

use frame_codec::{Delimited, LengthPrefixed};
use mpsr_server::{Event, Funnel, Limits, Parting};
use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use uds_actor::{Actor, Bind, Connect};

use crate::rig::{Everything, LONG, Rig, Source, soon};

#[tokio::test]
async fn sockets_that_come_and_go_under_the_same_names_deliver_everything_they_were_sent() {
    const NAMES: usize = 4;
    const ROUNDS: usize = 12;
    const LINES: usize = 50;
    let mut rig = Rig::start(Source::Directory, std::sync::Arc::new(Delimited::lines()), Limits::default()).await;
    let mut serving = JoinSet::new();
    for name in 0..NAMES {
        let path = rig.dir.path().join(format!("{name}.sock"));
        serving.spawn(async move {
            for round in 0..ROUNDS {
                let server = UnixListener::bind(&path).unwrap();
                let (mut client, _) = soon("the funnel", server.accept()).await.unwrap();
                // Some vanish while they are still sending, some when they are through.
                if round % 2 == 0 {
                    std::fs::remove_file(&path).unwrap();
                }
                for line in 0..LINES {
                    client.write_all(format!("{name} {round} {line}\n").as_bytes()).await.unwrap();
                }
                drop(client);
                if round % 2 == 1 {
                    std::fs::remove_file(&path).unwrap();
                }
            }
        });
    }
    let mut told = Everything::default();
    told.until_left(&mut rig, NAMES * ROUNDS).await;
    soon("the producers", serving.join_all()).await;
    let mut seen = Vec::new();
    for producer in told.in_order() {
        let lines: Vec<_> = producer.messages.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let (round, _) = lines[0].rsplit_once(' ').unwrap();
        assert_eq!(lines, (0..LINES).map(|line| format!("{round} {line}")).collect::<Vec<_>>());
        seen.push(round.to_owned());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), NAMES * ROUNDS, "every generation is one producer");
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
