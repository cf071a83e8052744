//! A session over several connections, with a scripted server and a clock that only the test moves.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{io, time::Duration};

use crate::server::{SESSION, Server, reply, soon};
use tokio::{io::DuplexStream, time::Instant};
use zk_client::{
    Builder, Change, Client, Connector, Ending, Error, Expiry, Failure, InMemory, Incoming, SessionEvent,
    SessionEvents, SessionId, Version, WatchEvent, WatchMode,
};
use zk_proto::{
    Auth, ConnectRequest, ConnectResponse, Data, Password, Record, ReplyHeader, SetWatches, SetWatches2, Stat,
    WatcherEvent, Xid, Zxid,
};

const TIMEOUT_MS: i32 = 9000;
const AUTH: i32 = 100;
const SET_WATCHES: i32 = 101;
const SET_WATCHES_2: i32 = 105;
const ADD_WATCH: i32 = 106;
const CLOSE: i32 = -11;

fn granted(session: SessionId) -> Vec<u8> {
    let password = Password::new(&[9; 16][..]);
    ConnectResponse { protocol_version: 0, timeout_ms: TIMEOUT_MS, session, password, read_only: Some(false) }
        .to_bytes()
}

fn event(kind: i32, path: &str) -> Vec<u8> {
    reply(-1, 0, &WatcherEvent { kind, state: 3, path: path.into() }.to_bytes())
}

fn data() -> Vec<u8> {
    Data { data: None, stat: Stat::default() }.to_bytes()
}

/// The servers' side: a stream for each connection.
struct Servers(Incoming);

impl Servers {
    async fn accept(&mut self) -> Server {
        Server { stream: soon(self.0.accept()).await.expect("the client connects") }
    }

    /// Accepts a connection that resumes the session, up to its connect request.
    async fn resumed(&mut self) -> (Server, ConnectRequest<'static>) {
        let mut server = self.accept().await;
        let frame = server.frame().await;
        let asked = ConnectRequest::from_bytes(&frame).unwrap();
        let owned = ConnectRequest { password: asked.password.clone().into_owned(), ..asked };
        (server, owned)
    }
}

async fn connect(builder: Builder) -> (Client, Servers, Server) {
    connect_with_auths(builder, 0).await
}

/// The same with a builder that has authentications.
async fn connect_with_auths(builder: Builder, auths: usize) -> (Client, Servers, Server) {
    let (connector, incoming) = InMemory::new(1 << 16);
    let mut servers = Servers(incoming);
    let serve = async {
        let (mut server, _) = servers.resumed().await;
        server.send(&granted(SESSION)).await;
        for _ in 0..auths {
            assert_eq!(server.request().await.1, AUTH);
            server.reply(-4, 0, b"").await;
        }
        server
    };
    let (client, server) = tokio::join!(soon(builder.connect_with(connector, ["in memory"])), serve);
    (client.unwrap(), servers, server)
}

async fn next(events: &mut SessionEvents) -> SessionEvent {
    soon(events.next()).await.expect("an event")
}

#[tokio::test(start_paused = true)]
async fn a_session_is_resumed_by_its_name_and_what_was_not_sent_goes_out_then() {
    let builder = Client::builder().session_timeout(Duration::from_millis(12_345));
    let (zk, mut servers, mut server) = connect(builder).await;
    let mut events = zk.events();
    let sent = zk.set("/a", "", Version::Any);
    assert_eq!(server.request().await.1, 5);
    drop(server);
    assert_eq!(next(&mut events).await, SessionEvent::Suspended);
    let error = soon(sent).await.unwrap_err();
    assert!(matches!(&error, Error::ConnectionLost { maybe_executed: true, .. }), "{error}");
    assert!(error.client_usable() && !error.is_retryable());
    let waiting = zk.get("/b");

    let (mut server, asked) = servers.resumed().await;
    assert_eq!((asked.session, asked.password.as_bytes()), (SESSION, &[9; 16][..]));
    assert_eq!((asked.timeout_ms, asked.last_zxid_seen), (12_345, Zxid(0)), "the timeout that is wanted, each time");
    server.send(&granted(SESSION)).await;
    let (xid, op, _) = server.request().await;
    assert_eq!(op, 4, "what was sent is not sent again");
    server.reply(xid, 0, &data()).await;
    soon(waiting).await.unwrap();
    assert_eq!(next(&mut events).await, SessionEvent::Resumed);

    // What was learnt from that reply is said at the next connection.
    drop(server);
    assert_eq!(servers.resumed().await.1.last_zxid_seen, Zxid(7));
}

#[tokio::test(start_paused = true)]
async fn another_session_in_the_place_of_ours_is_closed_and_ours_is_over() {
    let (zk, mut servers, mut server) = connect(Client::builder()).await;
    let mut events = zk.events();
    let mut watch = {
        let watch = zk.watch("/a", WatchMode::Node);
        let (xid, ..) = server.request().await;
        server.reply(xid, 0, &[0; 4]).await;
        soon(watch).await.unwrap()
    };
    drop(server);
    assert_eq!(next(&mut events).await, SessionEvent::Suspended);
    let waiting = zk.get("/a");
    let (mut server, _) = servers.resumed().await;
    let other = SessionId(SESSION.0 + 1);
    assert_eq!(server.request().await.1, SET_WATCHES_2);
    server.send(&granted(other)).await;
    server.reply(-8, 0, b"").await;
    let (xid, op, _) = server.request().await;
    assert_eq!(op, CLOSE, "the other session is not left to its timeout");
    server.reply(xid, 0, b"").await;
    let expired = Expiry::Replaced { granted: other };
    assert_eq!(next(&mut events).await, SessionEvent::Ended(Ending::Expired(expired.clone())));
    assert_eq!((soon(events.next()).await, soon(watch.next()).await), (None, None));
    let error = soon(waiting).await.unwrap_err();
    assert!(matches!(&error, Error::SessionExpired(why) if *why == expired), "{error:?}");
    assert!(!error.maybe_executed() && !error.client_usable());
    assert!(soon(server.try_frame()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn servers_that_hang_up_on_the_handshake_are_tried_until_the_session_is_over() {
    let (zk, mut servers, mut server) = connect(Client::builder()).await;
    let pending = zk.exists("/a");
    let (xid, ..) = server.request().await;
    server.reply(xid, -101, b"").await;
    soon(pending).await.unwrap();
    let start = Instant::now();
    drop(server);
    let hanging_up = tokio::spawn(async move {
        let mut times = 0;
        while let Some(stream) = servers.0.accept().await {
            let mut server = Server { stream };
            server.try_frame().await;
            times += 1;
        }
        times
    });
    let ending = soon(zk.closed()).await.ending;
    let Ending::Expired(expiry @ Expiry::Unanswered { last_zxid: Zxid(7), .. }) = &ending else { panic!("{ending:?}") };
    let text = expiry.to_string();
    assert!(text.contains("every server closed the handshake without an answer"), "{text}");
    assert!(text.contains("they may be behind zxid 0x7"), "{text}");
    assert!(start.elapsed().abs_diff(Duration::from_secs(12)) < Duration::from_millis(50), "{:?}", start.elapsed());
    drop(zk);
    let times = soon(hanging_up).await.unwrap();
    assert!((8..40).contains(&times), "{times} attempts, with pauses between them");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_rejects_the_connection_is_named_with_its_code() {
    let (connector, mut incoming) = InMemory::new(1024);
    let serve = async {
        let mut server = Server { stream: incoming.accept().await.unwrap() };
        server.frame().await;
        server.send(&ReplyHeader { xid: Xid(0), zxid: Zxid(0x1_0000_0002), err: -119 }.to_bytes()).await;
        server
    };
    let builder = Client::builder();
    let (result, _server) = tokio::join!(soon(builder.connect_with(connector, ["read-only"])), serve);
    let Err(Error::NoServer { attempts }) = result else { panic!("{result:?}") };
    let Failure::Rejected(code) = &attempts[0].failure else { panic!("{attempts:?}") };
    assert_eq!(*code, zk_client::ErrorCode::NotReadOnly);
}

#[tokio::test(start_paused = true)]
async fn identities_and_watches_come_first_and_requests_wait_for_their_confirmation() {
    let (zk, mut servers, mut server) = connect_with_auths(Client::builder().auth("digest", "user:secret"), 1).await;
    assert!(!format!("{zk:?}").contains("secret"));
    let mut events = zk.events();
    let read = zk.get_and_watch("/d");
    let listed = zk.watch("/t", WatchMode::Tree);
    assert_eq!(server.request().await.1, 4);
    assert_eq!(server.request().await.1, ADD_WATCH);
    server.reply(1, 0, &data()).await;
    server.reply(2, 0, &[0; 4]).await;
    let ((_, mut once), mut tree) = (soon(read).await.unwrap(), soon(listed).await.unwrap());
    drop(server);
    assert_eq!(next(&mut events).await, SessionEvent::Suspended);

    // Broken between the grant and the confirmations: that is a loss, not an authentication that failed.
    let waiting = zk.get("/a");
    for breaks in [true, false] {
        let (mut server, _) = servers.resumed().await;
        let (xid, op, body) = server.request().await;
        assert_eq!((xid, op, Auth::from_bytes(&body).unwrap().proof), (-4, AUTH, Some(&b"user:secret"[..])));
        let (xid, op, body) = server.request().await;
        let watches = SetWatches2::from_bytes(&body).unwrap();
        assert_eq!((xid, op, watches.relative_zxid), (-8, SET_WATCHES_2, Zxid(7)));
        let lists = [watches.data, watches.exist, watches.child, watches.persistent, watches.persistent_recursive];
        let lists: Vec<_> = lists.into_iter().map(|list| list.unwrap().join(" ")).collect();
        assert_eq!(lists, ["/d", "", "", "", "/t"]);
        server.send(&granted(SESSION)).await;
        if breaks {
            continue;
        }
        server.send(&event(3, "/d")).await;
        server.reply(-4, 0, b"").await;
        assert!(tokio::time::timeout(Duration::from_secs(1), server.request()).await.is_err(), "requests wait");
        assert!(!zk.is_connected());
        server.reply(-8, 0, b"").await;
        assert_eq!(next(&mut events).await, SessionEvent::Resumed);
        assert_eq!(soon(&mut once).await.unwrap().change, Change::Data, "what was missed");
        assert_eq!(soon(tree.next()).await, Some(WatchEvent::Resync));
        let (xid, op, _) = server.request().await;
        assert_eq!(op, 4);
        server.reply(xid, 0, &data()).await;
        break;
    }
    soon(waiting).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_authentication_added_while_there_is_no_connection_is_sent_with_the_next() {
    let (zk, mut servers, server) = connect(Client::builder()).await;
    let mut events = zk.events();
    drop(server);
    assert_eq!(next(&mut events).await, SessionEvent::Suspended);
    let (server, _) = servers.resumed().await;
    let added = zk.add_auth("digest", b"user:secret");
    drop(server);
    let (mut server, _) = servers.resumed().await;
    assert_eq!(server.request().await.1, AUTH);
    server.send(&granted(SESSION)).await;
    server.reply(-4, 0, b"").await;
    soon(added).await.unwrap();
    // The failure of one is the end.
    let rejected = zk.add_auth("digest", b"other");
    while server.request().await.1 != AUTH {}
    server.reply(-4, 0, b"").await;
    let (_, op, _) = server.request().await;
    assert_eq!(op, AUTH, "that of the call itself, which waited");
    server.reply(-4, -115, b"").await;
    assert!(matches!(soon(rejected).await, Err(Error::AuthFailed)));
    assert_eq!(soon(zk.closed()).await.ending, Ending::AuthFailed);
}

#[tokio::test(start_paused = true)]
async fn events_are_in_their_streams_when_a_later_reply_is_ready() {
    use futures_util::FutureExt as _;
    let (zk, _servers, mut server) = connect(Client::builder().max_events(100)).await;
    let watching = zk.watch("/a", WatchMode::Node);
    server.request().await;
    server.reply(1, 0, &[0; 4]).await;
    let mut watch = soon(watching).await.unwrap();
    for round in 0..50 {
        let read = zk.get("/a");
        let (xid, ..) = server.request().await;
        let frames = [event(3, "/a"), event(4, "/a"), reply(xid, 0, &data())];
        let together: Vec<u8> = frames
            .iter()
            .flat_map(|frame| [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], frame].concat())
            .collect();
        server.send_raw(&together).await;
        soon(read).await.unwrap();
        for change in [Change::Data, Change::Children] {
            let Some(Some(WatchEvent::Node(event))) = watch.next().now_or_never() else { panic!("round {round}") };
            assert_eq!((event.change, event.path.as_str()), (change, "/a"));
        }
    }
    // A stream that is not read is bounded, and says that something is missing.
    for _ in 0..250 {
        server.send(&event(3, "/a")).await;
    }
    let read = zk.get("/a");
    let (xid, ..) = server.request().await;
    server.reply(xid, 0, &data()).await;
    soon(read).await.unwrap();
    let waiting: Vec<_> = std::iter::from_fn(|| watch.next().now_or_never().flatten()).collect();
    assert!(waiting.len() <= 100, "{}", waiting.len());
    assert_eq!(waiting.iter().filter(|event| **event == WatchEvent::Resync).count(), 1);
    assert_eq!(waiting[0], WatchEvent::Resync);
}

#[tokio::test(start_paused = true)]
async fn a_request_has_its_time_and_one_that_waits_is_never_sent() {
    let builder = Client::builder().request_timeout(Duration::from_secs(2));
    let (zk, mut servers, mut server) = connect(builder).await;
    let slow = zk.set("/slow", "", Version::Any);
    let (xid, ..) = server.request().await;
    let error = soon(slow).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { maybe_executed: true }), "{error:?}");
    server.reply(xid, 0, &Stat::default().to_bytes()).await;
    let mut events = zk.events();
    drop(server);
    assert_eq!(next(&mut events).await, SessionEvent::Suspended);
    let (mut server, _) = servers.resumed().await;
    let error = soon(zk.set("/never", "", Version::Any)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { maybe_executed: false }) && error.is_retryable(), "{error:?}");
    server.send(&granted(SESSION)).await;
    let read = zk.get("/a");
    let (xid, op, _) = server.request().await;
    assert_eq!(op, 4, "what timed out was withdrawn");
    server.reply(xid, 0, &data()).await;
    soon(read).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_fails_fast_does_not_wait_for_a_connection() {
    let (zk, mut servers, server) = connect(Client::builder().fail_fast()).await;
    let mut events = zk.events();
    drop(server);
    assert_eq!(next(&mut events).await, SessionEvent::Suspended);
    let start = Instant::now();
    let error = soon(zk.get("/a")).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionLost { maybe_executed: false, .. }) && error.is_retryable(), "{error:?}");
    assert_eq!(start.elapsed(), Duration::ZERO);
    let (mut server, _) = servers.resumed().await;
    server.send(&granted(SESSION)).await;
    assert_eq!(next(&mut events).await, SessionEvent::Resumed);
    let read = zk.get("/a");
    let (xid, ..) = server.request().await;
    server.reply(xid, 0, &data()).await;
    soon(read).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_closed_without_a_connection_is_closed_on_the_next() {
    let (zk, mut servers, server) = connect(Client::builder()).await;
    let mut events = zk.events();
    drop(server);
    assert_eq!(next(&mut events).await, SessionEvent::Suspended);
    let before = zk.get("/a");
    let report = zk.close();
    assert!(matches!(soon(zk.get("/b")).await, Err(Error::Closed)));
    let (mut server, _) = servers.resumed().await;
    server.send(&granted(SESSION)).await;
    let (xid, op, _) = server.request().await;
    assert_eq!(op, 4);
    server.reply(xid, 0, &data()).await;
    let (xid, op, _) = server.request().await;
    assert_eq!(op, CLOSE);
    server.reply(xid, 0, b"").await;
    soon(before).await.unwrap();
    assert_eq!(soon(report).await.ending, Ending::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_left_is_not_closed() {
    let (zk, _servers, mut server) = connect(Client::builder()).await;
    let left = soon(zk.detach()).await.unwrap();
    assert_eq!((left.session, left.password.as_bytes()), (SESSION, &[9; 16][..]));
    assert!(soon(server.try_frame()).await.is_none(), "nothing was sent");
    assert_eq!(soon(zk.closed()).await.ending, Ending::Detached);
}

#[tokio::test(start_paused = true)]
async fn one_shot_watches_alone_are_asked_for_with_the_request_that_old_servers_know() {
    let (zk, mut servers, mut server) = connect(Client::builder()).await;
    let asked = zk.exists_and_watch("/a");
    server.request().await;
    server.reply(1, -101, b"").await;
    let (_, watch) = soon(asked).await.unwrap();
    drop(server);
    let (mut server, _) = servers.resumed().await;
    let (_, op, body) = server.request().await;
    let watches = SetWatches::from_bytes(&body).unwrap();
    assert_eq!((op, watches.exist.unwrap().join(" ")), (SET_WATCHES, "/a".to_owned()));
    drop((server, watch));
    // Nothing is watched any more.
    let (mut server, _) = servers.resumed().await;
    server.send(&granted(SESSION)).await;
    let read = zk.get("/b");
    assert_eq!(server.request().await.1, 4);
    drop(read);
}

/// Two addresses for one name: the first takes connections that never come to be.
struct BlackHole(InMemory);

impl Connector for BlackHole {
    type Address = &'static str;
    type Stream = DuplexStream;

    async fn resolve(&self, server: &str) -> io::Result<Vec<&'static str>> {
        match server {
            "two" => Ok(vec!["black hole", "alive"]),
            _ => Err(io::Error::other("no such name")),
        }
    }

    async fn connect(&self, server: &str, address: &&'static str) -> io::Result<DuplexStream> {
        match *address {
            "alive" => self.0.connect(server, &server.to_owned()).await,
            _ => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_address_is_an_attempt_and_a_black_hole_does_not_hold_up_the_next() {
    let (connector, incoming) = InMemory::new(1024);
    let mut servers = Servers(incoming);
    let serve = async {
        let (mut server, _) = servers.resumed().await;
        server.send(&granted(SESSION)).await;
        server
    };
    let start = Instant::now();
    let builder = Client::builder().in_order();
    let (zk, _server) = tokio::join!(soon(builder.connect_with(BlackHole(connector), ["none", "two"])), serve);
    assert_eq!(zk.unwrap().server(), "two (alive)");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());

    let (connector, incoming) = InMemory::new(1024);
    drop(incoming);
    let error = soon(builder.connect_with(BlackHole(connector), ["none", "two"])).await.unwrap_err();
    let Error::NoServer { attempts } = error else { panic!("{error:?}") };
    let mut failed: Vec<_> =
        attempts.iter().map(|attempt| format!("{}: {}", attempt.server, attempt.failure)).collect();
    failed.sort_unstable();
    assert_eq!(
        failed,
        [
            "none: the name cannot be resolved: no such name",
            "two (alive): connection refused (is a server running there?)",
            "two (black hole): no answer within 3s",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn while_a_session_is_at_stake_an_attempt_takes_half_of_its_timeout_by_the_number_of_addresses() {
    let (zk, mut servers, server) = connect(Client::builder().server_timeout(Duration::from_secs(30))).await;
    drop(server);
    let mut starts = Vec::new();
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(servers.accept().await);
        starts.push(Instant::now());
    }
    let apart = starts[1] - starts[0];
    assert!(apart >= Duration::from_millis(4500) && apart < Duration::from_millis(4700), "{apart:?}");
    drop(zk);
}
