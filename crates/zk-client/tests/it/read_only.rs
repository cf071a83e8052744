//! Sessions of read-only servers, with a scripted server and a clock that only the test moves.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use zk_client::{Builder, Client, Ending, Error, Expiry, InMemory, Incoming, SessionEvent, SessionId};
use zk_proto::{ConnectRequest, ConnectResponse, Password, Record as _};

use crate::server::{SESSION, Server, soon};

/// The next connection, and what it asks for: a session, and whether a read-only server will do.
async fn accept(incoming: &mut Incoming) -> (Server, SessionId, Option<bool>) {
    let mut server = Server { stream: soon(incoming.accept()).await.unwrap() };
    let frame = server.frame().await;
    let asked = ConnectRequest::from_bytes(&frame).unwrap();
    (server, asked.session, asked.read_only)
}

fn granted(read_only: bool) -> Vec<u8> {
    let password = Password::new(&[9; 16][..]);
    let session = SESSION;
    ConnectResponse { protocol_version: 0, timeout_ms: 9000, session, password, read_only: Some(read_only) }.to_bytes()
}

async fn connect(builder: Builder, read_only: bool) -> (Client, Incoming, Server) {
    let (connector, mut incoming) = InMemory::new(1 << 16);
    let serve = async {
        let (mut server, session, will_do) = accept(&mut incoming).await;
        assert_eq!((session, will_do), (SessionId::NONE, Some(true)));
        server.send(&granted(read_only)).await;
        server
    };
    let (client, server) = tokio::join!(soon(builder.connect_with(connector, ["in memory"])), serve);
    (client.unwrap(), incoming, server)
}

#[tokio::test(start_paused = true)]
async fn the_session_of_a_read_only_server_ends_with_its_connection() {
    let (zk, mut incoming, mut server) = connect(Client::builder().read_only(), true).await;
    assert!(zk.is_read_only());
    let mut events = zk.events();
    let rejected = zk.set("/a", "", zk_client::Version::Any);
    let (xid, ..) = server.request().await;
    server.reply(xid, -119, b"").await;
    assert_eq!(soon(rejected).await.unwrap_err().code(), Some(zk_client::ErrorCode::NotReadOnly));
    drop(server);
    let ending = Ending::Expired(Expiry::ReadOnly);
    assert_eq!(soon(events.next()).await, Some(SessionEvent::Ended(ending.clone())));
    assert_eq!(soon(zk.closed()).await.ending, ending);
    assert!(matches!(soon(zk.get("/a")).await.unwrap_err(), Error::SessionExpired(Expiry::ReadOnly)));
    // Its id is shown to no other server.
    drop(zk);
    assert!(soon(incoming.accept()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_session_of_a_read_write_server_is_never_shown_to_one_that_is_read_only() {
    let (zk, mut incoming, server) = connect(Client::builder().read_only(), false).await;
    assert!(!zk.is_read_only());
    let mut events = zk.events();
    drop(server);
    assert_eq!(soon(events.next()).await, Some(SessionEvent::Suspended));
    // A read-only server rejects what does not say that it will do, with the header of a reply.
    let (mut server, session, will_do) = accept(&mut incoming).await;
    assert_eq!((session, will_do), (SESSION, Some(false)));
    server.send(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0x89]).await;
    let (mut server, session, will_do) = accept(&mut incoming).await;
    assert_eq!((session, will_do), (SESSION, Some(false)));
    server.send(&granted(false)).await;
    assert_eq!(soon(events.next()).await, Some(SessionEvent::Resumed));
}

#[tokio::test(start_paused = true)]
async fn a_read_only_server_that_hangs_up_before_the_session_is_ready_leaves_nothing_behind() {
    let (connector, mut incoming) = InMemory::new(1 << 16);
    let builder = Client::builder().read_only().auth("digest", "user:secret").in_order();
    let serve = async {
        let (mut server, ..) = accept(&mut incoming).await;
        server.send(&granted(true)).await;
        // The identity is not confirmed.
        drop(server);
        let (mut server, session, will_do) = accept(&mut incoming).await;
        assert_eq!((session, will_do), (SessionId::NONE, Some(true)));
        server.send(&granted(false)).await;
        server.reply(-4, 0, b"").await;
        server
    };
    let (client, _server) = tokio::join!(soon(builder.connect_with(connector, ["first", "second"])), serve);
    assert!(!client.unwrap().is_read_only());
}
