//! A client session's rules, on the multiplexer and without a server.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{borrow::Cow, time::Duration};

use packetizer::{Call, Error, Fault, Limits, Mux, Output, Reply, frame_codec::Raw};
use zk_proto::{
    Acl, Auth, Check, Children, CloseSession, ConnectRequest, ConnectResponse, Create, Create2, CreateMode, Created,
    CreatedStat, Data, Delete, ErrorCode, Exists, GetChildren, GetData, Multi, MultiOp, MultiRead, MultiReply,
    MultiResult, Node, Outcome, Password, Ping, Record, ReplyHeader, Session, SessionId, SetData, SetWatches2, Stat,
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
    mux.request(&Create { path: path(), data: None, acl: Some((&[]).into()), flags: 0 }, "create").unwrap();
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
        Children { names: Some(["x", "y"].into_iter().collect()) }.to_bytes(),
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
    assert_eq!(decoded::<GetChildren<'_>>(&mut mux), ("children", Ok(["x", "y"].into_iter().collect())));
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
    assert_eq!(decoded::<GetData<'_>>(&mut mux), ("second", Err(ErrorCode::Unknown(-4242))));
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
fn what_authentications_and_watches_are_answered_may_overtake() {
    let mut mux = connected(Session::default());
    mux.request(&Exists { path: "/a".into(), watch: false }, "exists").unwrap();
    mux.request(&Auth { kind: 0, scheme: "digest".into(), proof: Some(b"u:p") }, "auth").unwrap();
    let watches = || SetWatches2 {
        relative_zxid: Zxid(1),
        data: Some(Cow::Borrowed(&[])),
        exist: Some(Cow::Borrowed(&[])),
        child: Some(Cow::Borrowed(&[])),
        persistent: Some(Cow::Borrowed(&[])),
        persistent_recursive: Some(vec!["/".into()].into()),
    };
    mux.request(&watches(), "first batch").unwrap();
    mux.request(&watches(), "second batch").unwrap();
    send_all(&mut mux);
    for xid in [-4, -8, -8, 1] {
        handle(&mut mux, reply(xid, 0, 0, &Stat::default().to_bytes())).unwrap();
    }
    assert_eq!(decoded::<Auth<'_>>(&mut mux), ("auth", Ok(())));
    assert_eq!(decoded::<SetWatches2<'_>>(&mut mux), ("first batch", Ok(())));
    assert_eq!(decoded::<SetWatches2<'_>>(&mut mux), ("second batch", Ok(())));
    assert_eq!(decoded::<Exists<'_>>(&mut mux), ("exists", Ok(Some(Stat::default()))));
}

#[test]
fn a_transaction_says_what_became_of_each_operation() {
    let mut mux = connected(Session::default());
    let multi = || Multi {
        ops: vec![
            Create { path: "/a".into(), data: None, acl: Some(Acl::OPEN.into()), flags: 0 }.into(),
            Create2 { path: "/b".into(), data: None, acl: Some(Acl::OPEN.into()), flags: 0 }.into(),
            SetData { path: "/c".into(), data: None, version: 1 }.into(),
            Check { path: "/c".into(), version: 2 }.into(),
            Delete { path: "/d".into(), version: -1 }.into(),
        ],
    };
    mux.request(&multi(), "done").unwrap();
    mux.request(&multi(), "failed").unwrap();
    let read = MultiRead { ops: vec![GetData { path: "/a".into(), watch: false }.into()] };
    mux.request(&read, "read").unwrap();
    send_all(&mut mux);
    let stat = Stat { version: 3, ..Stat::default() };
    let created = |path| CreatedStat { path, stat };
    let results = vec![
        MultiResult::Created(Created { path: "/a".into() }),
        MultiResult::CreatedStat(created("/b".into())),
        MultiResult::Set(stat),
        MultiResult::Checked,
        MultiResult::Deleted,
    ];
    handle(&mut mux, reply(1, 5, 0, &MultiReply { results }.to_bytes())).unwrap();
    let results = [0, -101, -2, -2, -2].map(MultiResult::Error).to_vec();
    handle(&mut mux, reply(2, 6, 0, &MultiReply { results }.to_bytes())).unwrap();
    let large = vec![7; 5000];
    let results = vec![
        MultiResult::Data(Data { data: Some(&large), stat }),
        MultiResult::Children(Children { names: Some(["x"].into_iter().collect()) }),
        MultiResult::Error(-102),
    ];
    handle(&mut mux, reply(3, 6, 0, &MultiReply { results }.to_bytes())).unwrap();
    let (_, done) = decoded::<Multi<'_>>(&mut mux);
    let expected = vec![
        Outcome::Created("/a".to_owned(), None),
        Outcome::Created("/b".to_owned(), Some(stat)),
        Outcome::Set(stat),
        Outcome::Checked,
        Outcome::Deleted,
    ];
    assert_eq!(done, Ok(expected));
    let (_, failed) = decoded::<Multi<'_>>(&mut mux);
    let (not, no_node) = (Outcome::NotExecuted, Outcome::Failed(ErrorCode::NoNode));
    assert_eq!(failed, Ok(vec![not.clone(), no_node, not.clone(), not.clone(), not]));
    let (_, read) = decoded::<MultiRead<'_>>(&mut mux);
    let node = Outcome::Node(Node { data: Some(large.into()), stat });
    let names = Outcome::Children(["x"].into_iter().collect());
    assert_eq!(read, Ok(vec![node, names, Outcome::Failed(ErrorCode::NoAuth)]));
}

#[test]
fn what_cannot_stand_in_a_transaction_is_not_sent() {
    let mut mux = connected(Session::default());
    let read = || MultiOp::from(GetData { path: "/a".into(), watch: false });
    let write = || MultiOp::from(Delete { path: "/a".into(), version: -1 });
    let wrong = |outcome: Result<_, (Error<zk_proto::Error>, _)>| {
        matches!(outcome, Err((Error::Encode(zk_proto::Error::Operation { .. }), _)))
    };
    assert!(wrong(mux.request(&Multi { ops: vec![write(), read()] }, "multi")));
    assert!(wrong(mux.request(&MultiRead { ops: vec![read(), write()] }, "multi read")));
    let path = Multi { ops: vec![write(), Delete { path: "a".into(), version: -1 }.into()] };
    assert!(matches!(mux.request(&path, "path"), Err((Error::Encode(zk_proto::Error::Path { .. }), _))));
    assert!(!mux.has_transmit());
}

#[test]
fn large_payloads_share_the_frame_and_small_ones_do_not() {
    let mut mux = connected(Session::default());
    for len in [4095, 4096] {
        mux.request(&GetData { path: "/a".into(), watch: false }, "get").unwrap();
        send_all(&mut mux);
        let data = vec![1; len];
        let xid = if len == 4095 { 1 } else { 2 };
        let body = Data { data: Some(&data), stat: Stat::default() }.to_bytes();
        let frame = bytes::Bytes::from(reply(xid, 0, 0, &body));
        mux.handle_frame(frame.clone()).unwrap();
        let (_, node) = decoded::<GetData<'_>>(&mut mux);
        let node = node.unwrap();
        let held = frame.as_ptr_range().contains(&node.bytes().as_ptr());
        assert_eq!((node.bytes().len(), held), (len, len >= 4096));
        assert!(!frame.as_ptr_range().contains(&node.detach().bytes().as_ptr()));
        assert_eq!(node.detach(), node);
    }
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
    assert!(matches!(mux.poll_output(), Some(Output::Event(told)) if told.event == event));
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
fn nothing_may_follow_a_rejected_session() {
    for rejection in [0, -1, i32::MIN] {
        let mut mux: Connection = Mux::new(Raw, Session::default(), Limits::default());
        mux.request(&ConnectRequest::new_session(Duration::from_secs(10)), "connect").unwrap();
        mux.request(&Exists { path: "/a".into(), watch: false }, "exists").unwrap();
        send_all(&mut mux);
        handle(&mut mux, response(rejection)).unwrap();
        assert_eq!(decoded::<ConnectRequest<'_>>(&mut mux), ("connect", None));
        assert!(matches!(handle(&mut mux, reply(1, 0, -101, b"")), Err(Fault::Unclassified { .. })));
    }
}

#[test]
fn invalid_paths_are_rejected_before_anything_is_sent() {
    let mut mux = connected(Session::default());
    let is_rejected = |outcome: Result<_, (Error<zk_proto::Error>, _)>| {
        matches!(outcome, Err((Error::Encode(zk_proto::Error::Path { .. }), _)))
    };
    assert!(is_rejected(mux.request(&GetData { path: "a".into(), watch: false }, "get")));
    assert!(is_rejected(mux.request(&Exists { path: "".into(), watch: false }, "exists")));
    assert!(is_rejected(mux.request(&GetChildren { path: "/a/".into(), watch: false }, "children")));
    assert!(is_rejected(mux.request(&Delete { path: "//".into(), version: -1 }, "delete")));
    assert!(is_rejected(mux.request(&SetData { path: "/a\0".into(), data: None, version: -1 }, "set")));
    let create =
        |mode: CreateMode| Create { path: "/a/".into(), data: None, acl: Some((&[]).into()), flags: mode.flags() };
    assert!(is_rejected(mux.request(&create(CreateMode::Ephemeral), "create")));
    assert!(mux.poll_transmit().is_none());
    mux.request(&create(CreateMode::EphemeralSequential), "create").unwrap();
    assert!(mux.poll_transmit().is_some());
}
