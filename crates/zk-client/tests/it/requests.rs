//! Requests and their answers, with a scripted server.

use crate::server::{Server, connect, connect_through, reply, soon};
use zk_client::{Acl, Client, CreateMode, Error, ErrorCode, Payload, Sequence, Stat, Version};
use zk_proto::{Children, Create, Created, Data, Record, WatcherEvent};

fn stat(version: i32) -> Stat {
    Stat { version, ..Stat::default() }
}

fn data(text: &str) -> Vec<u8> {
    Data { data: Some(text.as_bytes()), stat: stat(0) }.to_bytes()
}

async fn ready() -> (Client, Server) {
    connect(Client::builder(), 9000).await
}

#[tokio::test(start_paused = true)]
async fn each_method_sends_its_request_and_reads_its_answer() {
    let (zk, mut server) = ready().await;
    let created = zk.create("/a", "x", CreateMode::EphemeralSequential, Acl::OPEN);
    let stat_of = zk.exists("/a");
    let missing = zk.exists("/b");
    let node = zk.get("/a");
    let set = zk.set("/a", Payload::NULL, Version::Is(4));
    let children = zk.children("/");
    let deleted = zk.delete("/a", Version::Any);

    let (xid, op, body) = server.request().await;
    let create = Create::from_bytes(&body).unwrap();
    assert_eq!(
        (xid, op, create.flags, create.data, create.acl.map(|acl| acl.len())),
        (1, 1, 3, Some(&b"x"[..]), Some(1))
    );
    server.reply(1, 0, &Created { path: "/a0000000000".into() }.to_bytes()).await;
    let answers = [
        (2, 3, 0, stat(3).to_bytes()),
        (3, 3, -101, vec![]),
        (4, 4, 0, data("text")),
        (5, 5, 0, stat(5).to_bytes()),
        (6, 8, 0, Children { names: Some(["a"].into_iter().collect()) }.to_bytes()),
        (7, 2, 0, vec![]),
    ];
    for (number, operation, err, body) in answers {
        let (xid, op, _) = server.request().await;
        assert_eq!((xid, op), (number, operation));
        server.reply(xid, err, &body).await;
    }
    let created = soon(created).await.unwrap();
    assert_eq!((created.as_ref(), created.sequence), ("/a0000000000", Some(Sequence(0))));
    assert_eq!(soon(stat_of).await.unwrap(), Some(stat(3)));
    assert_eq!(soon(missing).await.unwrap(), None);
    assert_eq!(soon(node).await.unwrap().bytes(), b"text");
    assert_eq!(soon(set).await.unwrap(), stat(5));
    assert_eq!(soon(children).await.unwrap().sorted(), ["a"]);
    soon(deleted).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn requests_do_not_wait_for_answers_and_keep_the_order_of_the_calls() {
    let (zk, mut server) = ready().await;
    let mut pending: Vec<_> = (0..100).map(|n| zk.get(&format!("/{n}"))).collect();
    pending.reverse(); // awaited last to first
    for n in 0..100 {
        let (xid, _, body) = server.request().await;
        assert_eq!((xid, &body[4..body.len() - 1]), (n + 1, format!("/{n}").as_bytes()));
    }
    for n in 0..100 {
        server.reply(n + 1, 0, &data(&n.to_string())).await;
    }
    for (n, pending) in (0..100).rev().zip(pending) {
        assert_eq!(soon(pending).await.unwrap().bytes(), n.to_string().as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_is_sent_and_its_late_answer_is_ignored() {
    let (zk, mut server) = ready().await;
    let mut kept = Vec::new();
    for n in 0..10 {
        let pending = zk.get(&format!("/{n}"));
        if n % 2 == 0 { drop(pending) } else { kept.push((n, pending)) }
    }
    for n in 0..10 {
        let (xid, ..) = server.request().await;
        server.reply(xid, 0, &data(&n.to_string())).await;
    }
    for (n, pending) in kept {
        assert_eq!(soon(pending).await.unwrap().bytes(), n.to_string().as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn answers_may_drip_in_byte_by_byte() {
    let (zk, mut server) = connect_through(Client::builder(), 9000, 1).await;
    let client = tokio::spawn(async move {
        let first = zk.get("/first");
        let second = zk.get("/second");
        (first.await.unwrap(), second.await.unwrap(), zk)
    });
    for text in ["one", "two"] {
        let (xid, ..) = server.request().await;
        server.reply(xid, 0, &data(text)).await;
    }
    let (first, second, _zk) = soon(client).await.unwrap();
    assert_eq!((first.bytes(), second.bytes()), (&b"one"[..], &b"two"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_says_what_and_where_and_unknown_codes_are_kept() {
    let (zk, mut server) = ready().await;
    let rejected = zk.delete("/full", Version::Any);
    let strange = zk.get("/a");
    for _ in 0..2 {
        server.request().await;
    }
    server.reply(1, -111, b"").await;
    server.reply(2, -9999, b"").await;
    let error = soon(rejected).await.unwrap_err();
    assert_eq!(error.to_string(), r#"delete "/full": the node has children"#);
    assert_eq!(error.code(), Some(ErrorCode::NotEmpty));
    assert!(error.client_usable() && !error.maybe_executed() && !error.is_peer_fault());
    assert_eq!(soon(strange).await.unwrap_err().code(), Some(ErrorCode::Unknown(-9999)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_makes_no_sense_fails_its_own_request_only() {
    let (zk, mut server) = ready().await;
    let bad = zk.get("/bad");
    let good = zk.get("/good");
    for _ in 0..2 {
        server.request().await;
    }
    server.reply(1, 0, &[0xff; 3]).await;
    server.reply(2, 0, &data("good")).await;
    let error = soon(bad).await.unwrap_err();
    assert!(matches!(&error, Error::Malformed { operation: "get", .. }), "{error:?}");
    assert!(error.is_peer_fault() && error.maybe_executed() && error.client_usable());
    assert_eq!(soon(good).await.unwrap().bytes(), b"good");
}

#[tokio::test(start_paused = true)]
async fn an_answer_out_of_order_is_not_followed() {
    let (zk, mut server) = ready().await;
    let first = zk.get("/first");
    let second = zk.get("/second");
    for _ in 0..2 {
        server.request().await;
    }
    server.reply(2, 0, &data("second")).await;
    for pending in [first, second] {
        let error = soon(pending).await.unwrap_err();
        assert!(matches!(&error, Error::ConnectionLost { maybe_executed: true, .. }), "{error:?}");
        assert!(error.to_string().contains("a reply is tagged Some(Xid(2)) where Some(Xid(1)) was due"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn unexpected_notifications_are_ignored() {
    let (zk, mut server) = ready().await;
    let pending = zk.get("/a");
    server.request().await;
    server.reply(-1, 0, &WatcherEvent { kind: 3, state: 3, path: "/a".into() }.to_bytes()).await;
    server.reply(1, 0, &data("text")).await;
    assert_eq!(soon(pending).await.unwrap().bytes(), b"text");
}

#[tokio::test(start_paused = true)]
async fn a_reply_truncated_at_any_byte_says_that_the_request_may_have_been_executed() {
    let answer = reply(1, 0, &data("text"));
    let whole = [&u32::try_from(answer.len()).unwrap().to_be_bytes()[..], &answer].concat();
    for len in 0..whole.len() {
        let (zk, mut server) = connect(Client::builder().fail_fast(), 9000).await;
        let pending = zk.set("/a", "text", Version::Any);
        server.request().await;
        server.send_raw(&whole[..len]).await;
        drop(server);
        let error = soon(pending).await.unwrap_err();
        assert!(matches!(error, Error::ConnectionLost { maybe_executed: true, .. }), "{len}: {error:?}");
        assert!(error.maybe_executed() && !error.is_retryable() && error.client_usable());
        let later = soon(zk.get("/a")).await.unwrap_err();
        assert!(matches!(later, Error::ConnectionLost { maybe_executed: false, .. }), "{len}: {later:?}");
        assert!(later.is_retryable());
    }
}

#[tokio::test(start_paused = true)]
async fn lengths_that_cannot_be_end_the_connection_at_once() {
    for len in [u32::MAX, 0x8000_0000, 0x7fff_ffff, (256 << 20) + 1] {
        let (zk, mut server) = ready().await;
        let pending = zk.get("/a");
        server.request().await;
        server.send_raw(&len.to_be_bytes()).await;
        let error = soon(pending).await.unwrap_err();
        assert!(matches!(&error, Error::ConnectionLost { why, .. } if why.contains("framing")), "{len}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn lengths_inside_an_answer_are_checked_too() {
    let (zk, mut server) = ready().await;
    for (xid, len) in (1..).zip([i32::MIN, -2, i32::MAX, 1000]) {
        let data = zk.get("/a");
        server.request().await;
        server.reply(xid, 0, &len.to_be_bytes()).await;
        assert!(matches!(soon(data).await, Err(Error::Malformed { .. })), "{len}");
    }
    for (xid, count) in (5..).zip([i32::MIN, -2, i32::MAX, 1000]) {
        let children = zk.children("/a");
        server.request().await;
        server.reply(xid, 0, &count.to_be_bytes()).await;
        assert!(matches!(soon(children).await, Err(Error::Malformed { .. })), "{count}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_no_server_accepts_are_rejected_here() {
    let (zk, mut server) = ready().await;
    let error = soon(zk.get("relative")).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)));
    let huge = vec![0; 0x10_0000];
    let error = soon(zk.set("/a", &huge, Version::Any)).await.unwrap_err();
    assert!(matches!(error, Error::RequestTooLarge { max: 0xf_ffff, .. }), "{error:?}");
    // With what surrounds the data (8 + 4 + 2 + 4 + 4 bytes) one byte too many.
    let error = soon(zk.set("/a", &huge[..0xf_ffff - 21], Version::Any)).await.unwrap_err();
    assert!(matches!(error, Error::RequestTooLarge { len: 0x10_0000, .. }), "{error:?}");
    let fits = zk.set("/a", &huge[..0xf_ffff - 22], Version::Any);
    let (xid, op, body) = server.request().await;
    // The second of those rejected had used up a number, which is no harm.
    assert_eq!((xid, op, body.len()), (2, 5, 0xf_ffff - 8), "nothing was sent of the others");
    server.reply(2, 0, &stat(1).to_bytes()).await;
    soon(fits).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_limits_fail_at_once_and_the_others_are_answered() {
    // The stream holds 64 bytes, so most requests stay in the outbox.
    let options = Client::builder().max_outbox(200).max_requests(100);
    let (zk, mut server) = connect_through(options, 9000, 64).await;
    let mut pending: Vec<_> = (0..50).map(|_| zk.get("/a")).collect();
    tokio::task::yield_now().await;
    let rejected = pending.split_off(10); // 19 bytes each, framing included
    for rejected in rejected {
        assert!(matches!(soon(rejected).await, Err(Error::OutboxFull { max: 200, .. })));
    }
    for _ in 0..10 {
        let (xid, ..) = server.request().await;
        server.reply(xid, 0, &data("text")).await;
    }
    for pending in pending {
        soon(pending).await.unwrap();
    }

    let (zk, mut server) = connect(Client::builder().max_requests(3), 9000).await;
    let pending: Vec<_> = (0..3).map(|_| zk.get("/a")).collect();
    assert!(matches!(soon(zk.get("/a")).await, Err(Error::TooManyRequests { max: 3 })));
    for _ in 0..3 {
        let (xid, ..) = server.request().await;
        server.reply(xid, 0, &data("text")).await;
    }
    for pending in pending {
        soon(pending).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn version_minus_one_cannot_be_asked_for_alone() {
    let (zk, mut server) = ready().await;
    let minus_one = Version::Is(-1);
    for error in
        [soon(zk.set("/a", "x", minus_one)).await.unwrap_err(), soon(zk.delete("/a", minus_one)).await.unwrap_err()]
    {
        assert!(matches!(error, Error::Invalid(zk_proto::Error::AnyVersion)), "{error}");
        assert!(!error.maybe_executed() && !error.is_peer_fault() && error.client_usable());
    }
    // Its neighbours are versions like others, and `Any` is what it was.
    for (version, expected) in [(Version::Is(i32::MIN), i32::MIN), (Version::Is(-2), -2), (Version::Any, -1)] {
        let pending = zk.delete("/a", version);
        let (xid, op, body) = server.request().await;
        assert_eq!((op, &body[6..]), (2, &expected.to_be_bytes()[..]), "the first request is the first that is valid");
        server.reply(xid, 0, b"").await;
        soon(pending).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_can_be_written_back_as_it_is() {
    let (zk, mut server) = ready().await;
    for data in [None, Some(&b""[..]), Some(b"text")] {
        let read = zk.get("/a");
        let (xid, ..) = server.request().await;
        server.reply(xid, 0, &Data { data, stat: stat(3) }.to_bytes()).await;
        let node = soon(read).await.unwrap();
        let written = zk.set("/a", &node.data, Version::Is(node.stat.version));
        let (xid, _, body) = server.request().await;
        let request = zk_proto::SetData::from_bytes(&body).unwrap();
        assert_eq!((request.data, request.version), (data, 3));
        server.reply(xid, 0, &stat(4).to_bytes()).await;
        soon(written).await.unwrap();
    }
}
