//! A client session's rules, on the multiplexer and without a server.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use packetizer::{Call, Error, Fault, Limits, Mux, Output, Reply, frame_codec::Raw};
use zk_proto::{
    Children, CloseSession, ConnectRequest, ConnectResponse, Create, CreateMode, Created, Data, Delete, ErrorCode,
    Exists, GetChildren, GetData, Node, Password, Ping, Record, ReplyHeader, Session, SessionId, SetData, Stat,
    WatcherEvent, Xid, Xids, Zxid,
};

type Connection = Mux<Session, &'static str>;

fn response(timeout_ms: i32) -> Vec<u8> {
    ConnectResponse {
        protocol_version: 0,
        timeout_ms,
        session: SessionId(7),
        password: Password::new(&[1; 16][..]),
        read_only: Some(false),
    }
    .to_bytes()
}

fn reply(xid: i32, zxid: i64, err: i32, body: &[u8]) -> Vec<u8> {
    [ReplyHeader { xid: Xid(xid), zxid: Zxid(zxid), err }.to_bytes(), body.to_vec()].concat()
}

fn send_all(mux: &mut Connection) {
    while let Some(block) = mux.poll_transmit() {
        mux.handle_written(block.len());
    }
}

fn handle(mux: &mut Connection, frame: Vec<u8>) -> Result<(), Fault<zk_proto::Error>> {
    mux.handle_frame(frame.into())
}

fn connected(session: Session) -> Connection {
    let mut mux = Mux::new(Raw, session, Limits::default());
    mux.request(&ConnectRequest::new_session(Duration::from_secs(10)), "connect").unwrap();
    send_all(&mut mux);
    handle(&mut mux, response(4000)).unwrap();
    assert!(mux.poll_output().is_some());
    mux
}

fn answer(mux: &mut Connection) -> (&'static str, Result<Reply<Session>, Error<zk_proto::Error>>) {
    match mux.poll_output() {
        Some(Output::Answer { waiter, result }) => (waiter, result),
        other => panic!("an answer, not {other:?}"),
    }
}

/// The next answer, read as the reply to a call of this type.
fn decoded<C: Call<Protocol = Session>>(mux: &mut Connection) -> (&'static str, C::Reply) {
    let (waiter, result) = answer(mux);
    (waiter, result.unwrap().decode::<C>().unwrap())
}

#[test]
fn each_reply_is_read_as_its_request_asks() {
    let mut mux = connected(Session::default());
    let stat = Stat { czxid: Zxid(3), data_length: 2, ..Stat::default() };
    let path = || "/a".into();
    mux.request(&Create { path: path(), data: None, acl: (&[]).into(), flags: 0 }, "create").unwrap();
    mux.request(&Exists { path: path(), watch: false }, "exists").unwrap();
    mux.request(&GetData { path: path(), watch: false }, "get").unwrap();
    mux.request(&GetData { path: path(), watch: false }, "get null").unwrap();
    mux.request(&SetData { path: path(), data: Some(b""), version: 1 }, "set").unwrap();
    mux.request(&GetChildren { path: path(), watch: false }, "children").unwrap();
    mux.request(&Delete { path: path(), version: -1 }, "delete").unwrap();
    mux.request(&CloseSession, "close").unwrap();
    send_all(&mut mux);
    let bodies = [
        Created { path: path() }.to_bytes(),
        stat.to_bytes(),
        Data { data: Some(b"hi"), stat }.to_bytes(),
        Data { data: None, stat }.to_bytes(),
        stat.to_bytes(),
        Children { names: vec!["x".into(), "y".into()] }.to_bytes(),
        vec![],
        vec![],
    ];
    for (xid, body) in (1..).zip(&bodies) {
        handle(&mut mux, reply(xid, 0, 0, body)).unwrap();
    }
    assert_eq!(decoded::<Create<'_>>(&mut mux), ("create", Ok("/a".to_owned())));
    assert_eq!(decoded::<Exists<'_>>(&mut mux), ("exists", Ok(Some(stat))));
    let node = Node { data: Some(b"hi".as_slice().into()), stat };
    assert_eq!(decoded::<GetData<'_>>(&mut mux), ("get", Ok(node)));
    assert_eq!(decoded::<GetData<'_>>(&mut mux), ("get null", Ok(Node { data: None, stat })));
    assert_eq!(decoded::<SetData<'_>>(&mut mux), ("set", Ok(stat)));
    assert_eq!(decoded::<GetChildren<'_>>(&mut mux), ("children", Ok(vec!["x".to_owned(), "y".to_owned()])));
    assert_eq!(decoded::<Delete<'_>>(&mut mux), ("delete", Ok(())));
    assert_eq!(decoded::<CloseSession>(&mut mux), ("close", Ok(())));
}

#[test]
fn a_reply_that_is_read_as_another_calls_is_an_error_and_no_panic() {
    let mut mux = connected(Session::default());
    mux.request(&Delete { path: "/a".into(), version: -1 }, "delete").unwrap();
    send_all(&mut mux);
    handle(&mut mux, reply(1, 0, 0, b"")).unwrap();
    let wrong = answer(&mut mux).1.unwrap().decode::<GetData<'_>>();
    assert!(matches!(wrong, Err(Error::Decode(zk_proto::Error::Truncated { .. }))), "{wrong:?}");
}

#[test]
fn refusals_and_unknown_codes_are_answers() {
    let mut mux = connected(Session::default());
    for waiter in ["first", "second"] {
        mux.request(&GetData { path: "/a".into(), watch: false }, waiter).unwrap();
    }
    send_all(&mut mux);
    handle(&mut mux, reply(1, 9, -101, b"")).unwrap();
    handle(&mut mux, reply(2, 9, -4242, b"with a body")).unwrap();
    assert_eq!(decoded::<GetData<'_>>(&mut mux), ("first", Err(ErrorCode::NoNode)));
    assert_eq!(decoded::<GetData<'_>>(&mut mux), ("second", Err(ErrorCode::Other(-4242))));
}

#[test]
fn that_a_node_does_not_exist_is_an_answer() {
    let mut mux = connected(Session::default());
    for waiter in ["none", "some", "hidden"] {
        mux.request(&Exists { path: "/a".into(), watch: false }, waiter).unwrap();
    }
    send_all(&mut mux);
    handle(&mut mux, reply(1, 9, -101, b"")).unwrap();
    handle(&mut mux, reply(2, 9, 0, &Stat::default().to_bytes())).unwrap();
    handle(&mut mux, reply(3, 9, -102, b"")).unwrap();
    assert_eq!(decoded::<Exists<'_>>(&mut mux), ("none", Ok(None)));
    assert_eq!(decoded::<Exists<'_>>(&mut mux), ("some", Ok(Some(Stat::default()))));
    assert_eq!(decoded::<Exists<'_>>(&mut mux), ("hidden", Err(ErrorCode::NoAuth)));
}

#[test]
fn a_cancelled_handshake_is_a_handshake_all_the_same() {
    let mut mux: Connection = Mux::new(Raw, Session::default(), Limits::default());
    let connect = mux.request(&ConnectRequest::new_session(Duration::from_secs(10)), "connect").unwrap();
    mux.request(&Exists { path: "/a".into(), watch: false }, "exists").unwrap();
    mux.cancel(connect);
    send_all(&mut mux);
    handle(&mut mux, response(4000)).unwrap();
    handle(&mut mux, reply(1, 0, -101, b"")).unwrap();
    assert_eq!(decoded::<Exists<'_>>(&mut mux), ("exists", Ok(None)));
}

#[test]
fn a_pong_may_overtake_and_answers_no_request() {
    let mut mux = connected(Session::default());
    mux.request(&Exists { path: "/a".into(), watch: false }, "exists").unwrap();
    mux.request(&Ping, "ping").unwrap();
    send_all(&mut mux);
    handle(&mut mux, reply(-2, 0, 0, b"")).unwrap();
    handle(&mut mux, reply(1, 0, -101, b"")).unwrap();
    assert_eq!(answer(&mut mux).0, "ping");
    assert_eq!(answer(&mut mux).0, "exists");
    assert!(matches!(handle(&mut mux, reply(-2, 0, 0, b"")), Err(Fault::Unasked { .. })));
}

#[test]
fn the_number_of_a_reply_must_be_that_of_the_oldest_request() {
    let mut mux = connected(Session::default());
    mux.request(&Exists { path: "/a".into(), watch: false }, "one").unwrap();
    mux.request(&Exists { path: "/b".into(), watch: false }, "two").unwrap();
    send_all(&mut mux);
    assert!(matches!(handle(&mut mux, reply(2, 0, -101, b"")), Err(Fault::OutOfOrder { .. })));
}

#[test]
fn request_numbers_wrap_and_replies_still_match() {
    let mut mux = connected(Session::new(Xids::starting_at(i32::MAX), Zxid(0)));
    mux.request(&Exists { path: "/a".into(), watch: false }, "last").unwrap();
    mux.request(&Exists { path: "/b".into(), watch: false }, "first").unwrap();
    send_all(&mut mux);
    handle(&mut mux, reply(i32::MAX, 0, -101, b"")).unwrap();
    handle(&mut mux, reply(1, 0, -101, b"")).unwrap();
    assert_eq!((answer(&mut mux).0, answer(&mut mux).0), ("last", "first"));
}

#[test]
fn transactions_are_learnt_from_replies_and_never_go_back() {
    let mut mux = connected(Session::default());
    for waiter in ["one", "two", "three"] {
        mux.request(&Exists { path: "/a".into(), watch: false }, waiter).unwrap();
    }
    send_all(&mut mux);
    handle(&mut mux, reply(1, 10, -101, b"")).unwrap();
    let event = WatcherEvent { kind: 1, state: 3, path: "/m".into() };
    handle(&mut mux, reply(-1, 99, 0, &event.to_bytes())).unwrap();
    assert_eq!(mux.protocol().last_zxid(), Zxid(10), "not from a notification");
    handle(&mut mux, reply(2, -1, -101, b"")).unwrap();
    handle(&mut mux, reply(3, 0, -101, b"")).unwrap();
    assert_eq!(mux.protocol().last_zxid(), Zxid(10));
    assert_eq!(answer(&mut mux).0, "one");
    assert!(matches!(mux.poll_output(), Some(Output::Event(told)) if told == event));
}

#[test]
fn requests_may_follow_the_handshake_without_waiting() {
    let mut mux: Connection = Mux::new(Raw, Session::default(), Limits::default());
    mux.request(&ConnectRequest::new_session(Duration::from_secs(10)), "connect").unwrap();
    mux.request(&Exists { path: "/a".into(), watch: false }, "exists").unwrap();
    send_all(&mut mux);
    handle(&mut mux, response(4000)).unwrap();
    handle(&mut mux, reply(1, 0, -101, b"")).unwrap();
    assert_eq!((answer(&mut mux).0, answer(&mut mux).0), ("connect", "exists"));
}

#[test]
fn nothing_may_follow_a_refused_session() {
    for refusal in [0, -1, i32::MIN] {
        let mut mux: Connection = Mux::new(Raw, Session::default(), Limits::default());
        mux.request(&ConnectRequest::new_session(Duration::from_secs(10)), "connect").unwrap();
        mux.request(&Exists { path: "/a".into(), watch: false }, "exists").unwrap();
        send_all(&mut mux);
        handle(&mut mux, response(refusal)).unwrap();
        assert_eq!(decoded::<ConnectRequest<'_>>(&mut mux), ("connect", None));
        assert!(matches!(handle(&mut mux, reply(1, 0, -101, b"")), Err(Fault::Unclassified { .. })));
    }
}

#[test]
fn invalid_paths_are_refused_before_anything_is_sent() {
    let mut mux = connected(Session::default());
    let refused = |outcome: Result<_, (Error<zk_proto::Error>, _)>| {
        matches!(outcome, Err((Error::Encode(zk_proto::Error::Path { .. }), _)))
    };
    assert!(refused(mux.request(&GetData { path: "a".into(), watch: false }, "get")));
    assert!(refused(mux.request(&Exists { path: "".into(), watch: false }, "exists")));
    assert!(refused(mux.request(&GetChildren { path: "/a/".into(), watch: false }, "children")));
    assert!(refused(mux.request(&Delete { path: "//".into(), version: -1 }, "delete")));
    assert!(refused(mux.request(&SetData { path: "/a\0".into(), data: None, version: -1 }, "set")));
    let create = |mode: CreateMode| Create { path: "/a/".into(), data: None, acl: (&[]).into(), flags: mode.flags() };
    assert!(refused(mux.request(&create(CreateMode::Ephemeral), "create")));
    assert!(mux.poll_transmit().is_none());
    mux.request(&create(CreateMode::EphemeralSequential), "create").unwrap();
    assert!(mux.poll_transmit().is_some());
}
