//! The life of a session, with a scripted server and a clock that only the test moves.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use crate::server::{SESSION, Server, connect, connect_through, reply, response, soon};
use tokio::time::Instant;
use zk_client::{Client, Ending, Error, Expiry, Failure, InMemory, Unix};
use zk_proto::{Data, Record, WatcherEvent};

const PING: (i32, i32) = (-2, 11);
const CLOSE: i32 = -11;

fn data() -> Vec<u8> {
    Data { data: None, stat: zk_client::Stat::default() }.to_bytes()
}

/// What a server does between accepting and serving.
async fn connecting(server: impl AsyncFnOnce(Server)) -> zk_client::Result<Client> {
    let (connector, mut incoming) = InMemory::new(1024);
    let serve = async { server(Server { stream: incoming.accept().await.unwrap() }).await };
    let options = Client::builder();
    soon(async { tokio::join!(options.connect_with(connector.clone(), ["in memory"]), serve) }).await.0
}

fn failures(result: zk_client::Result<Client>) -> Vec<Failure> {
    match result {
        Err(Error::NoServer { attempts }) => attempts.into_iter().map(|attempt| attempt.failure).collect(),
        other => panic!("no server, not {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_decides_how_long_a_session_lasts() {
    let (zk, _server) = connect(Client::builder(), 4321).await;
    assert_eq!((zk.session(), zk.session_timeout()), (SESSION, Duration::from_millis(4321)));
    assert_eq!(zk.server(), "in memory");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_zero_says_that_the_session_is_over() {
    let rejected = connecting(async |mut server: Server| {
        server.frame().await;
        server.send(&response(0)).await;
    });
    let error = rejected.await.unwrap_err();
    assert!(matches!(error, Error::SessionExpired(_)) && error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_is_named() {
    let failed = failures(connecting(async |mut server: Server| drop(server.frame().await)).await);
    assert!(matches!(&failed[..], [Failure::Lost(why)] if why.contains("closed the connection")), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn something_that_is_not_a_zookeeper_is_noticed() {
    let web = connecting(async |mut server: Server| {
        server.frame().await;
        server.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let failed = failures(web.await);
    assert!(matches!(&failed[..], [Failure::Lost(why)] if why.contains("framing")), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_truncated_at_any_byte_fails_and_does_not_hang() {
    let answer = response(4000);
    let whole = [&u32::try_from(answer.len()).unwrap().to_be_bytes()[..], &answer].concat();
    for len in 0..whole.len() {
        let failing = connecting(async |mut server: Server| {
            server.frame().await;
            server.send_raw(&whole[..len]).await;
        });
        assert!(matches!(failures(failing.await)[..], [Failure::Lost(_)]), "{len}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left_for_the_next_and_all_of_them_within_the_deadline() {
    let options = Client::builder().server_timeout(Duration::from_secs(3)).connect_timeout(Duration::from_secs(7));
    let (connector, mut incoming) = InMemory::new(1024);
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Some(stream) = incoming.accept().await {
            held.push(stream);
        }
        held.len()
    });
    let start = Instant::now();
    let failed = failures(options.connect_with(connector.clone(), ["a", "b", "c", "d"]).await);
    assert_eq!(start.elapsed().as_secs(), 7);
    let text: Vec<_> = failed.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        ["no answer within 3s", "no answer within 3s", "no answer within 1s", "not tried, the time was up"]
            .map(|text| text.to_owned())
            .as_slice()
    );
    drop(connector);
    assert_eq!(soon(silent).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_second_server_serves_when_the_first_does_not() {
    let (connector, mut incoming) = InMemory::new(1024);
    let serve = tokio::spawn(async move {
        drop(incoming.accept().await);
        let mut server = Server { stream: incoming.accept().await.unwrap() };
        server.grant(4000).await;
        server
    });
    let zk = soon(Client::builder().in_order().connect_with(connector.clone(), ["first", "second"])).await.unwrap();
    assert_eq!(zk.server(), "second");
    drop(serve);
}

#[tokio::test(start_paused = true)]
async fn with_nothing_to_connect_to_there_is_no_server() {
    let (connector, incoming) = InMemory::new(1024);
    drop(incoming);
    let no_servers: [&str; 0] = [];
    assert!(failures(Client::builder().connect_with(connector.clone(), no_servers).await).is_empty());
    let error = Client::builder().connect_with(connector.clone(), ["gone"]).await.unwrap_err();
    assert!(error.to_string().contains("gone: connection refused (is a server running there?)"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn pings_keep_an_idle_session_alive() {
    let (zk, mut server) = connect(Client::builder(), 9000).await;
    let mut last = Instant::now();
    for _ in 0..20 {
        let (xid, op, body) = server.request().await;
        assert_eq!(((xid, op), body.len()), (PING, 0));
        let idle = std::mem::replace(&mut last, Instant::now()).elapsed();
        assert!(idle.abs_diff(Duration::from_secs(3)) < Duration::from_millis(10), "{idle:?}");
        server.reply(-2, 0, b"").await;
    }
    let pending = zk.get("/a");
    server.request().await;
    server.reply(1, 0, &data()).await;
    soon(pending).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pong_may_overtake_and_a_slow_answer_still_arrives() {
    let (zk, mut server) = connect(Client::builder(), 9000).await;
    let slow = zk.get("/slow");
    assert_eq!(server.request().await.0, 1);
    let (xid, op, _) = server.request().await; // comes after three seconds in which the server was busy
    assert_eq!((xid, op), PING);
    server.reply(-2, 0, b"").await;
    server.reply(1, 0, &data()).await;
    soon(slow).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_after_two_thirds_of_the_timeout() {
    let (zk, mut server) = connect(Client::builder(), 9000).await;
    let start = Instant::now();
    let pending = zk.get("/a");
    let error = soon(pending).await.unwrap_err();
    assert!(start.elapsed().abs_diff(Duration::from_secs(6)) < Duration::from_millis(10), "{:?}", start.elapsed());
    assert!(matches!(&error, Error::ConnectionLost { maybe_executed: true, why } if why.contains("silent")), "{error}");
    assert_eq!(server.request().await.0, 1);
    assert_eq!(server.request().await.0, -2, "one ping, not two");
    assert!(soon(server.try_frame()).await.is_none(), "the connection is closed");
    let report = soon(zk.closed()).await;
    // No server is there to resume the session: 4/3 of the timeout after the last word it counts as expired.
    assert!(matches!(report.ending, Ending::Expired(Expiry::Unreachable { .. })), "{report:?}");
    assert!(start.elapsed().abs_diff(Duration::from_secs(12)) < Duration::from_millis(10), "{:?}", start.elapsed());
    assert_eq!((report.requests.unanswered, report.session), (2, SESSION));
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_now_and_then_is_not_a_sign_of_life() {
    let (zk, mut server) = connect(Client::builder(), 9000).await;
    let start = Instant::now();
    let drip = tokio::spawn(async move {
        server.send_raw(&1000_u32.to_be_bytes()).await;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if tokio::io::AsyncWriteExt::write_all(&mut server.stream, b"x").await.is_err() {
                return;
            }
        }
    });
    assert!(soon(zk.get("/a")).await.is_err());
    assert!(start.elapsed() < Duration::from_secs(7), "{:?}", start.elapsed());
    soon(drip).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_read_is_given_up_too() {
    let (zk, server) = connect_through(Client::builder(), 9000, 64).await;
    let pending: Vec<_> = (0..100).map(|_| zk.get("/a")).collect();
    let mut sent = 0;
    for pending in pending {
        match soon(pending).await {
            Err(Error::ConnectionLost { maybe_executed: true, .. }) => sent += 1,
            // They wait for another connection, and there is none.
            Err(Error::SessionExpired(Expiry::Unreachable { .. })) => {}
            other => panic!("lost, not {other:?}"),
        }
    }
    assert_eq!(sent, 64 / 19, "only what the stream took whole can have been executed");
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn closing_answers_what_was_asked_and_reports() {
    let (zk, mut server) = connect(Client::builder(), 9000).await;
    let before = zk.get("/a");
    let report = zk.close();
    let after = zk.clone().get("/a");
    assert!(matches!(soon(after).await, Err(Error::Closed)));
    assert_eq!(server.request().await.0, 1);
    let (xid, op, _) = server.request().await;
    assert_eq!(op, CLOSE);
    server.reply(1, 0, &data()).await;
    server.reply(xid, 0, b"").await;
    soon(before).await.unwrap();
    let report = soon(report).await;
    assert_eq!((&report.ending, report.session, report.requests.answered), (&Ending::Closed, SESSION, 3));
    assert_eq!(soon(zk.close()).await, report, "closing twice is closing once");
    assert!(soon(server.try_frame()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_behind_its_last_answer_has_given_it() {
    // The client's task looks at answers and at the stream in no fixed order, so once is not enough.
    for _ in 0..64 {
        let (zk, mut server) = connect(Client::builder(), 9000).await;
        let report = zk.close();
        let (xid, ..) = server.request().await;
        server.reply(xid, 0, b"").await;
        drop(server);
        assert_eq!(soon(report).await.ending, Ending::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn closing_is_done_whether_or_not_anybody_waits_for_it() {
    let (zk, mut server) = connect(Client::builder(), 9000).await;
    drop(zk.close());
    assert_eq!(server.request().await.1, CLOSE);
}

#[tokio::test(start_paused = true)]
async fn closing_a_server_that_does_not_answer_ends_in_time_and_says_so() {
    let (zk, _server) = connect(Client::builder(), 9000).await;
    let start = Instant::now();
    let report = soon(zk.close()).await;
    assert!(matches!(&report.ending, Ending::Lost(why) if why.contains("silent")), "{report:?}");
    assert!(start.elapsed() < Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn closing_a_server_that_talks_of_other_things_ends_in_time_too() {
    let (zk, mut server) = connect(Client::builder(), 9000).await;
    let never = zk.get("/never");
    let start = Instant::now();
    let report = zk.close();
    let chatter = tokio::spawn(async move {
        let event = WatcherEvent { kind: 3, state: 3, path: "/else".into() }.to_bytes();
        let event = [&u32::try_from(16 + event.len()).unwrap().to_be_bytes()[..], &reply(-1, 0, &event)].concat();
        while tokio::io::AsyncWriteExt::write_all(&mut server.stream, &event).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let report = soon(report).await;
    assert!(matches!(&report.ending, Ending::Lost(why) if why.contains("in time")), "{report:?}");
    assert_eq!(start.elapsed().as_secs(), 9);
    assert!(matches!(soon(never).await, Err(Error::ConnectionLost { maybe_executed: true, .. })));
    soon(chatter).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_last_clone_closes_the_session() {
    let (zk, mut server) = connect(Client::builder(), 9000).await;
    let clone = zk.clone();
    drop(zk);
    let pending = clone.get("/a");
    let closed = clone.closed();
    drop(clone);
    assert_eq!(server.request().await.0, 1);
    let (xid, op, _) = server.request().await;
    assert_eq!(op, CLOSE);
    server.reply(1, 0, &data()).await;
    server.reply(xid, 0, b"").await;
    soon(pending).await.unwrap();
    assert_eq!(soon(closed).await.ending, Ending::Closed);
}

#[tokio::test(start_paused = true)]
async fn pings_and_the_farewell_go_out_when_the_limits_are_reached() {
    let (zk, mut server) = connect(Client::builder().max_requests(1), 9000).await;
    let slow = zk.get("/slow");
    assert_eq!(server.request().await.0, 1);
    assert!(matches!(soon(zk.get("/b")).await, Err(Error::TooManyRequests { max: 1 })));
    let (xid, op, _) = server.request().await;
    assert_eq!((xid, op), PING);
    server.reply(-2, 0, b"").await;
    let report = zk.close();
    let (xid, op, _) = server.request().await;
    assert_eq!(op, CLOSE);
    server.reply(1, 0, &data()).await;
    server.reply(xid, 0, b"").await;
    soon(slow).await.unwrap();
    assert_eq!(soon(report).await.ending, Ending::Closed);
}

#[test]
fn a_shut_down_runtime_leaves_no_call_hanging() {
    let build = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let runtime = build();
    let (zk, server) = runtime.block_on(connect(Client::builder(), 9000));
    let pending = zk.get("/a");
    drop(runtime);
    build().block_on(async {
        let error = soon(pending).await.unwrap_err();
        assert!(matches!(&error, Error::ConnectionLost { why, .. } if why.contains("stopped")), "{error}");
        assert!(matches!(soon(zk.close()).await.ending, Ending::Lost(_)));
    });
    drop(server);
}

#[tokio::test]
async fn a_zookeeper_that_is_not_there_is_named_with_a_hint() {
    // A port that was free a moment ago, on an address that no other test uses.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = soon(Client::connect(&address)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("no ZooKeeper server granted a session: {address}: ")), "{text}");
    assert!(text.ends_with("(is a server running there?)"), "{text}");
    assert!(error.is_retryable() && !error.client_usable());
}

#[tokio::test]
async fn a_session_may_run_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zk.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 49];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut request).await.unwrap();
        let answer = response(4000);
        let whole = [&u32::try_from(answer.len()).unwrap().to_be_bytes()[..], &answer].concat();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &whole).await.unwrap();
        stream
    };
    let options = Client::builder();
    let path = path.to_str().unwrap().to_owned();
    let (zk, _stream) = soon(async { tokio::join!(options.connect_with(Unix, [path]), serve) }).await;
    assert_eq!(zk.unwrap().session(), SESSION);
    let error = options.connect_with(Unix, [directory.path().join("none").to_str().unwrap()]).await.unwrap_err();
    assert!(error.to_string().contains("(is the path right?)"), "{error}");
}
