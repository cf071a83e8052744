//! The client's futures may be dropped in every place.

use std::{fmt::Debug, pin::Pin, time::Duration};

use crate::server::{Server, connect_through, response};
use cancel_kit::{Check, Drops, Error, Survey};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
};
use zk_client::{Client, Connector as _, InMemory};
use zk_proto::{Data, Record as _, Stat};

const HANG: Duration = Duration::from_secs(20);
const CLOSE: i32 = -11;

#[track_caller]
fn passes<O: Debug>(survey: Result<Survey, Error<O>>) {
    survey.unwrap_or_else(|error| panic!("{error}"));
}

/// A client over a stream that holds three bytes, and a server that answers each read with the path that was read.
async fn session() -> (Client, JoinHandle<usize>) {
    let (client, mut server) = connect_through(Client::builder(), 9000, 3).await;
    let serving = tokio::spawn(async move {
        for answered in 0.. {
            let (xid, op, body) = server.request().await;
            if op == CLOSE {
                server.reply(xid, 0, &[]).await;
                return answered;
            }
            let path = &body[4..body.len() - 1]; // behind its length, before the flag that asks for a watch
            server.reply(xid, 0, &Data { data: Some(path), stat: Stat::default() }.to_bytes()).await;
        }
        unreachable!("a test makes fewer requests than there are numbers")
    });
    (client, serving)
}

#[test]
fn a_request_made_again_gets_its_own_answer_whatever_became_of_the_first() {
    passes(Check::new().restarts().run_in_tokio(HANG, async |drops: Drops| {
        let (zk, serving) = session().await;
        let mut answers = Vec::new();
        for path in ["/a", "/b", "/c"] {
            let node = drops.drive(|| zk.get(path)).await.expect("it is answered");
            answers.push((path, String::from_utf8_lossy(node.bytes()).into_owned()));
        }
        zk.close().await;
        assert!(serving.await.expect("no panic") >= 3, "what was dropped was sent all the same");
        answers
    }));
}

#[test]
fn a_request_that_is_kept_is_sent_once_however_often_it_is_waited_for() {
    passes(Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let (zk, serving) = session().await;
        let mut requests = [zk.get("/a"), zk.get("/b"), zk.get("/c")];
        let mut answers = Vec::new();
        for request in &mut requests {
            let node = drops.drive(async || Pin::new(&mut *request).await).await.expect("it is answered");
            answers.push(String::from_utf8_lossy(node.bytes()).into_owned());
        }
        zk.close().await;
        (answers, serving.await.expect("no panic"))
    }));
}

#[test]
fn close_is_asked_for_at_the_call_and_its_report_can_be_had_again() {
    passes(Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let (zk, serving) = session().await;
        let last = zk.get("/last");
        let report = drops.drive(|| zk.close()).await;
        let again = drops.drive(|| zk.closed()).await;
        assert_eq!(format!("{report:?}"), format!("{again:?}"));
        let node = last.await.expect("requests made before are answered first");
        (format!("{report:?}"), node.bytes().to_vec(), serving.await.expect("no panic"))
    }));
}

#[test]
fn connecting_dropped_half_way_does_not_disturb_the_next_attempt() {
    passes(Check::new().restarts().run_in_tokio(HANG, async |drops: Drops| {
        let (connector, mut incoming) = InMemory::new(3);
        let granting = tokio::spawn(async move {
            let mut granted = Vec::new();
            while let Some(stream) = incoming.accept().await {
                let mut server = Server { stream };
                if server.try_frame().await.is_some() {
                    let answer = response(9000);
                    let head = u32::try_from(answer.len()).expect("short").to_be_bytes();
                    // A client that was dropped does not hear it.
                    let _ = server.stream.write_all(&[&head[..], &answer].concat()).await;
                }
                granted.push(server);
            }
        });
        let client = drops.drive(async || Client::builder().connect_with(connector.clone(), ["in memory"]).await).await;
        let session = client.expect("it is granted").session();
        granting.abort();
        session
    }));
}

#[test]
fn accepting_in_memory_loses_no_stream() {
    passes(Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let (connector, mut incoming) = InMemory::new(8);
        let connecting = tokio::spawn(async move {
            for number in 0..5 {
                let mut stream = connector.connect("in memory", &"in memory".to_owned()).await.expect("it is accepted");
                stream.write_u8(number).await.expect("room");
                tokio::task::yield_now().await;
            }
        });
        let mut numbers = Vec::new();
        while let Some(mut stream) = drops.drive(async || incoming.accept().await).await {
            numbers.push(stream.read_u8().await.expect("a number"));
        }
        connecting.await.expect("no panic");
        numbers
    }));
}
