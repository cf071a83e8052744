//! Sessions one after the other, with a scripted server and a clock that only the test moves.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use zk_client::{
    Builder, Client, Ending, Error, Expiry, InMemory, Incoming, RenewalEvent, RenewalEvents, Renewing, SessionId,
};
use zk_proto::{ConnectRequest, ConnectResponse, Data, Password, Record as _, Stat, Zxid};

use crate::server::{SESSION, Server, soon};

const NEXT: SessionId = SessionId(0x2_0000_0001);
const GET: i32 = 4;
const AUTH: i32 = 100;
const CLOSE: i32 = -11;

/// The servers' side.
struct Servers(Incoming);

impl Servers {
    /// The next connection, and which session it asks for, after which transaction.
    async fn accept(&mut self) -> (Server, SessionId, Zxid) {
        let mut server = Server { stream: soon(self.0.accept()).await.unwrap() };
        let frame = server.frame().await;
        let asked = ConnectRequest::from_bytes(&frame).unwrap();
        (server, asked.session, asked.last_zxid_seen)
    }
}

fn granted(session: SessionId, timeout_ms: i32) -> Vec<u8> {
    let password = Password::new(&[9; 16][..]);
    ConnectResponse { protocol_version: 0, timeout_ms, session, password, read_only: Some(false) }.to_bytes()
}

async fn connect(builder: Builder) -> (Renewing, Servers, Server) {
    let (connector, incoming) = InMemory::new(1 << 16);
    let mut servers = Servers(incoming);
    let serve = async {
        let (mut server, asked, _) = servers.accept().await;
        assert_eq!(asked, SessionId::NONE);
        server.send(&granted(SESSION, 9000)).await;
        server
    };
    let (renewing, server) = tokio::join!(soon(builder.connect_renewing_with(connector, ["in memory"])), serve);
    (renewing.unwrap(), servers, server)
}

/// The server says that the session is over.
async fn expire(servers: &mut Servers) {
    let (mut server, asked, _) = servers.accept().await;
    assert_eq!(asked, SESSION);
    server.send(&granted(SessionId::NONE, 0)).await;
}

async fn next(events: &mut RenewalEvents) -> RenewalEvent {
    soon(events.next()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_expired_session_is_followed_by_a_new_one_and_nothing_is_carried_over() {
    let (zk, mut servers, mut server) = connect(Client::builder()).await;
    let mut events = zk.events();
    let old = zk.client();
    assert_eq!((old.session(), soon(zk.ready()).await.unwrap().session()), (SESSION, SESSION));
    // A reply tells of a transaction that the next session must not speak of.
    let read = old.get("/a");
    let (xid, op, _) = server.request().await;
    assert_eq!(op, GET);
    server.reply(xid, 0, &Data { data: None, stat: Stat::default() }.to_bytes()).await;
    soon(read).await.unwrap();

    drop(server);
    assert_eq!(next(&mut events).await, RenewalEvent::Suspended);
    // Waits for the next connection, which does not come in this session.
    let unsent = old.get("/unsent");
    expire(&mut servers).await;
    let error = soon(unsent).await.unwrap_err();
    assert!(matches!(error, Error::SessionExpired(Expiry::Server)) && !error.maybe_executed(), "{error:?}");
    assert_eq!(
        next(&mut events).await,
        RenewalEvent::Expired { session: SESSION, ending: Ending::Expired(Expiry::Server) }
    );

    let ready = zk.ready();
    let (mut server, asked, last_zxid) = servers.accept().await;
    assert_eq!((asked, last_zxid), (SessionId::NONE, Zxid(0)));
    server.send(&granted(NEXT, 9000)).await;
    assert_eq!(next(&mut events).await, RenewalEvent::Renewed { old: SESSION, new: NEXT });
    let new = soon(ready).await.unwrap();
    assert_eq!((new.session(), zk.client().session()), (NEXT, NEXT));
    let read = new.get("/new");
    let (xid, op, body) = server.request().await;
    assert_eq!((op, body.ends_with(b"/new\0")), (GET, true), "the request of the old session was not sent: {body:?}");
    server.reply(xid, 0, &Data { data: None, stat: Stat::default() }.to_bytes()).await;
    soon(read).await.unwrap();
    assert!(matches!(soon(old.get("/a")).await.unwrap_err(), Error::SessionExpired(_)));
}

#[tokio::test(start_paused = true)]
async fn a_new_session_is_asked_for_until_a_server_grants_one() {
    let (zk, mut servers, server) = connect(Client::builder()).await;
    drop(server);
    expire(&mut servers).await;
    for _ in 0..5 {
        let (_hung_up, asked, _) = servers.accept().await;
        assert_eq!(asked, SessionId::NONE);
    }
    let ready = zk.ready();
    let (mut server, ..) = servers.accept().await;
    server.send(&granted(NEXT, 9000)).await;
    assert_eq!(soon(ready).await.unwrap().session(), NEXT);
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_is_rejected_ends_it() {
    let builder = Client::builder().auth("digest", "user:secret");
    let (connector, incoming) = InMemory::new(1 << 16);
    let mut servers = Servers(incoming);
    let serve = async {
        let (mut server, ..) = servers.accept().await;
        server.send(&granted(SESSION, 9000)).await;
        assert_eq!(server.request().await.1, AUTH);
        server.reply(-4, 0, b"").await;
        server
    };
    let (zk, server) = tokio::join!(soon(builder.connect_renewing_with(connector, ["in memory"])), serve);
    let zk = zk.unwrap();
    let mut events = zk.events();
    drop(server);
    expire(&mut servers).await;
    let (mut server, ..) = servers.accept().await;
    server.send(&granted(NEXT, 9000)).await;
    server.reply(-4, -115, b"").await;
    let error = soon(zk.ready()).await.unwrap_err();
    assert!(matches!(error, Error::AuthFailed), "{error:?}");
    assert_eq!(next(&mut events).await, RenewalEvent::Suspended);
    assert!(matches!(next(&mut events).await, RenewalEvent::Expired { .. }));
    assert_eq!(next(&mut events).await, RenewalEvent::Stopped(Ending::AuthFailed));
    assert_eq!(soon(events.next()).await, None);
    // A stream that begins later learns it, too.
    assert_eq!(next(&mut zk.events()).await, RenewalEvent::Stopped(Ending::AuthFailed));
}

#[tokio::test(start_paused = true)]
async fn closing_ends_the_session_and_no_other_one_follows() {
    let (zk, _servers, mut server) = connect(Client::builder()).await;
    let mut events = zk.events();
    let closed = zk.close();
    let (xid, op, _) = server.request().await;
    assert_eq!(op, CLOSE);
    server.reply(xid, 0, b"").await;
    let report = soon(closed).await;
    assert_eq!((report.session, report.ending), (SESSION, Ending::Closed));
    assert_eq!(next(&mut events).await, RenewalEvent::Stopped(Ending::Closed));
    assert!(matches!(soon(zk.ready()).await.unwrap_err(), Error::Closed));
}

#[tokio::test(start_paused = true)]
async fn closing_between_two_sessions_ends_the_attempts() {
    let (zk, mut servers, server) = connect(Client::builder()).await;
    drop(server);
    expire(&mut servers).await;
    let (_silent, ..) = servers.accept().await;
    let report = soon(zk.close()).await;
    assert_eq!((report.session, report.ending), (SESSION, Ending::Expired(Expiry::Server)));
    assert!(soon(zk.ready()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn with_the_last_handle_the_session_is_left_to_its_clients() {
    let (zk, _servers, mut server) = connect(Client::builder()).await;
    let client = zk.client();
    drop(zk);
    let read = client.get("/a");
    let (xid, op, _) = server.request().await;
    assert_eq!(op, GET);
    server.reply(xid, 0, &Data { data: None, stat: Stat::default() }.to_bytes()).await;
    soon(read).await.unwrap();
    drop(client);
    assert_eq!(server.request().await.1, CLOSE);
}

#[tokio::test(start_paused = true)]
async fn futures_that_are_dropped_lose_nothing() {
    let (zk, mut servers, server) = connect(Client::builder()).await;
    let mut events = zk.events();
    drop(server);
    expire(&mut servers).await;
    assert_eq!(next(&mut events).await, RenewalEvent::Suspended);
    assert!(matches!(next(&mut events).await, RenewalEvent::Expired { .. }));
    // Polled once each, and dropped: neither a session nor an event is lost with them.
    for _ in 0..3 {
        assert!(tokio::time::timeout(std::time::Duration::ZERO, zk.ready()).await.is_err());
    }
    let (mut server, ..) = servers.accept().await;
    server.send(&granted(NEXT, 9000)).await;
    assert_eq!(soon(zk.ready()).await.unwrap().session(), NEXT);
    assert!(matches!(next(&mut events).await, RenewalEvent::Renewed { .. }));
    assert!(tokio::time::timeout(std::time::Duration::ZERO, events.next()).await.is_err());
    // Closing is asked for at the call.
    drop(zk.close());
    let (xid, op, _) = server.request().await;
    assert_eq!(op, CLOSE);
    server.reply(xid, 0, b"").await;
    assert_eq!(next(&mut events).await, RenewalEvent::Stopped(Ending::Closed));
}
