//! Frames byte for byte as real servers and clients exchange them.

use std::time::Duration;

use packetizer::{Call, Limits, Mux, Output, frame_codec::LengthPrefixed};
use zk_proto::{
    Acl, AddWatch, AddWatchMode, Auth, Check, ConnectRequest, ConnectResponse, Create, CreateMode, Delete, ErrorCode,
    ErrorResponse, GetData, Multi, MultiReply, MultiResult, Password, Ping, Record, ReplyHeader, RequestHeader,
    Session, SessionId, SetData, SetWatches, Stat, WatcherEvent, Xid, Zxid, jute::Reader,
};

/// Hex digits, with spaces for reading.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A frame with its length in front, as it goes over the wire.
fn framed(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).expect("short").to_be_bytes(), frame].concat()
}

fn connected() -> Mux<Session, u32> {
    let mut mux = Mux::new(LengthPrefixed::zookeeper(), Session::default(), Limits::default());
    mux.request(&ConnectRequest::new_session(Duration::from_secs(4)), 0).expect("the first request");
    let written = mux.poll_transmit().expect("the request");
    mux.handle_written(written.len());
    let granted = hex("00000000 00000fa0 0100003641f70000 00000010 000102030405060708090a0b0c0d0e0f 00");
    mux.handle_frame(granted.into()).expect("an answer");
    let Some(Output::Answer { result: Ok(reply), .. }) = mux.poll_output() else { panic!("an answer") };
    let grant = reply.decode::<ConnectRequest<'_>>().expect("a response").expect("the session is granted");
    assert_eq!((grant.session, grant.timeout), (SessionId(0x0100_0036_41f7_0000), Duration::from_secs(4)));
    mux
}

fn sent<C: Call<Protocol = Session>>(mux: &mut Mux<Session, u32>, call: &C) -> Vec<u8> {
    mux.request(call, 1).expect("there is room");
    let frame = mux.poll_transmit().expect("the request");
    mux.handle_written(frame.len());
    frame.to_vec()
}

#[test]
fn a_new_session_is_asked_for_in_45_bytes() {
    let frame = framed(&ConnectRequest::new_session(Duration::from_millis(4000)).to_bytes());
    let golden = "0000002d 00000000 0000000000000000 00000fa0 0000000000000000
                  00000010 00000000000000000000000000000000 00";
    assert_eq!(frame, hex(golden));
}

#[test]
fn create_get_and_ping_are_what_java_sends() {
    let mut mux = connected();
    let create = Create {
        path: "/a".into(),
        data: Some(b"x"),
        acl: Some(Acl::OPEN.into()),
        flags: CreateMode::Persistent.flags(),
    };
    let golden = "00000032 00000001 00000001 00000002 2f61 00000001 78
                  00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 00000000";
    assert_eq!(sent(&mut mux, &create), hex(golden));
    let get = GetData { path: "/a".into(), watch: true };
    assert_eq!(sent(&mut mux, &get), hex("0000000f 00000002 00000004 00000002 2f61 01"));
    assert_eq!(sent(&mut mux, &Ping), hex("00000008 fffffffe 0000000b"));
}

#[test]
fn authentication_is_what_java_sends() {
    let auth = Auth { kind: 0, scheme: "digest".into(), proof: Some(b"u:p") };
    let golden = "0000001d fffffffc 00000064 00000000 00000006 646967657374 00000003 753a70";
    assert_eq!(sent(&mut connected(), &auth), hex(golden));
    assert!(!format!("{auth:?}").contains("117"), "the proof is a secret: {auth:?}");
}

#[test]
fn a_failed_transaction_is_read_as_servers_write_it() {
    // Create (would have been done), delete of a node that is missing, create (not tried), and the end.
    let body = hex(
        "ffffffff 00 00000000 00000000  ffffffff 00 ffffff9b ffffff9b  ffffffff 00 fffffffe fffffffe  ffffffff 01 ffffffff",
    );
    let reply = MultiReply { results: vec![MultiResult::Error(0), MultiResult::Error(-101), MultiResult::Error(-2)] };
    assert_eq!(MultiReply::from_bytes(&body), Ok(reply.clone()));
    assert_eq!(reply.to_bytes(), body);
    assert_eq!(Multi::default().to_bytes(), hex("ffffffff 01 ffffffff"), "an empty one is legal");
}

#[test]
fn a_transaction_is_what_java_sends() {
    let multi = Multi {
        ops: vec![
            Delete { path: "/a".into(), version: 3 }.into(),
            Check { path: "/b".into(), version: -1 }.into(),
            SetData { path: "/c".into(), data: None, version: 0 }.into(),
        ],
    };
    let golden = "00000002 00 ffffffff 00000002 2f61 00000003
                  0000000d 00 ffffffff 00000002 2f62 ffffffff
                  00000005 00 ffffffff 00000002 2f63 ffffffff 00000000
                  ffffffff 01 ffffffff";
    assert_eq!(multi.to_bytes(), hex(golden));
}

#[test]
fn a_lasting_watch_is_answered_with_four_bytes() {
    assert_eq!(ErrorResponse { err: 0 }.to_bytes(), hex("00000000"));
    let mut mux = connected();
    let watch = AddWatch { path: "/a".into(), mode: AddWatchMode::PersistentRecursive.number() };
    assert_eq!(sent(&mut mux, &watch), hex("00000012 00000001 0000006a 00000002 2f61 00000001"));
    mux.handle_frame(hex("00000001 0000000000000005 00000000 00000000").into()).expect("a reply");
    let Some(Output::Answer { result: Ok(reply), .. }) = mux.poll_output() else { panic!("an answer") };
    assert_eq!(reply.decode::<AddWatch<'_>>().expect("4 bytes"), Ok(()));
}

#[test]
fn watches_are_restored_as_java_does() {
    let watches = SetWatches {
        relative_zxid: Zxid(9),
        data: Some(vec!["/a".into()].into()),
        exist: Some(vec![].into()),
        child: Some(vec!["/".into(), "/b".into()].into()),
    };
    let golden = "0000002e fffffff8 00000065 0000000000000009
                  00000001 00000002 2f61  00000000  00000002 00000001 2f 00000002 2f62";
    let frame = sent(&mut connected(), &watches);
    assert_eq!(frame[4..], hex(golden)[4..]);
    assert_eq!(frame.len() - 4, u32::from_be_bytes(frame[..4].try_into().expect("four bytes")) as usize);
}

#[test]
fn an_expired_session_is_answered_with_a_timeout_of_zero() {
    let body = hex("00000000 00000000 0000000000000000 00000010 00000000000000000000000000000000 00");
    let response = ConnectResponse::from_bytes(&body).expect("a response");
    assert_eq!((response.timeout_ms, response.session), (0, SessionId::NONE));
    assert_eq!(response.grant(), None);
}

#[test]
fn a_notification_names_what_happened_and_where() {
    let body = hex("00000001 00000003 00000002 2f6d");
    let event = WatcherEvent { kind: 1, state: 3, path: "/m".into() };
    assert_eq!(WatcherEvent::from_bytes(&body), Ok(event));
}

#[test]
fn peers_before_3_4_leave_the_read_only_byte_out() {
    let with = ConnectResponse {
        protocol_version: 0,
        timeout_ms: 4000,
        session: SessionId(1),
        password: Password::new(&[7; 16][..]),
        read_only: Some(true),
    };
    let without = ConnectResponse { read_only: None, ..with.clone() };
    assert_eq!((with.to_bytes().len(), without.to_bytes().len()), (37, 36));
    assert_eq!(ConnectResponse::from_bytes(&without.to_bytes()), Ok(without.clone()));
    assert!(!without.grant().expect("granted").read_only, "a missing byte means no");
    let mut request = ConnectRequest::new_session(Duration::from_secs(1));
    assert_eq!(request.to_bytes().len(), 45);
    request.read_only = None;
    assert_eq!(request.to_bytes().len(), 44);
    assert_eq!(ConnectRequest::from_bytes(&request.to_bytes()), Ok(request.clone()));
}

#[test]
fn what_follows_a_record_is_ignored() {
    let mut bytes = Stat { version: 3, ..Stat::default() }.to_bytes();
    assert_eq!(bytes.len(), Stat::LEN);
    bytes.extend_from_slice(b"a field of a newer release");
    assert_eq!(Stat::from_bytes(&bytes).expect("a stat").version, 3);
}

#[test]
fn headers_are_8_and_16_bytes() {
    let request = RequestHeader { xid: Xid(1), op: 4 };
    assert_eq!(request.to_bytes(), hex("00000001 00000004"));
    assert_eq!(RequestHeader::decode(&mut Reader::new(&request.to_bytes())), Ok(request));
    let reply = ReplyHeader { xid: Xid::PING, zxid: Zxid(5), err: ErrorCode::NoNode.code() };
    assert_eq!(reply.to_bytes(), hex("fffffffe 0000000000000005 ffffff9b"));
}

#[test]
fn a_password_is_never_printed() {
    let response = ConnectResponse {
        protocol_version: 0,
        timeout_ms: 1,
        session: SessionId(0xbeef),
        password: Password::new(&b"secret"[..]),
        read_only: None,
    };
    let printed = format!("{response:?}");
    assert!(printed.contains("Password(6 bytes)") && printed.contains("0xbeef"), "{printed}");
}

/// What servers from 3.9 on write, and how those before wrote it.
mod since_3_9 {
    use zk_proto::{Created, CreatedStat, RemoveWatches, SetWatches2, WatcherType};

    use super::*;

    const STAT: &str = "000000000000002a 000000000000002a 0000019d00000000 0000019d00000000 00000000 00000000 00000000
        0000000000000000 00000001 00000000 000000000000002a";

    fn stat() -> Stat {
        Stat {
            czxid: Zxid(42),
            mzxid: Zxid(42),
            ctime: 0x19d_0000_0000,
            mtime: 0x19d_0000_0000,
            data_length: 1,
            pzxid: Zxid(42),
            ..Stat::default()
        }
    }

    #[test]
    fn a_node_created_in_a_transaction_comes_with_its_history_and_before_without() {
        let newer = hex(&format!("0000000f 00 00000000 00000002 2f61 {STAT} ffffffff 01 ffffffff"));
        let reply =
            MultiReply { results: vec![MultiResult::CreatedStat(CreatedStat { path: "/a".into(), stat: stat() })] };
        assert_eq!(MultiReply::from_bytes(&newer), Ok(reply.clone()));
        assert_eq!(reply.to_bytes(), newer);
        let older = hex("00000001 00 00000000 00000002 2f61 ffffffff 01 ffffffff");
        let reply = MultiReply { results: vec![MultiResult::Created(Created { path: "/a".into() })] };
        assert_eq!(MultiReply::from_bytes(&older), Ok(reply.clone()));
        assert_eq!(reply.to_bytes(), older);
    }

    #[test]
    fn a_notification_says_which_transaction_caused_it_and_is_not_taken_for_the_last_one_seen() {
        for (header, zxid) in [("ffffffff 000000000000002a 00000000", 42), ("ffffffff ffffffffffffffff 00000000", -1)] {
            let mut mux = connected();
            let frame = hex(&format!("{header} 00000001 00000003 00000002 2f6d"));
            mux.handle_frame(frame.into()).expect("a notification");
            let Some(Output::Event(notification)) = mux.poll_output() else { panic!("an event") };
            assert_eq!((notification.zxid, &*notification.event.path), (Zxid(zxid), "/m"));
            assert_eq!(mux.protocol().last_zxid(), Zxid(0));
        }
    }

    #[test]
    fn the_kinds_of_lasting_watches_can_be_removed_by_themselves() {
        for (kind, golden) in [
            (WatcherType::Persistent, "00000002 2f61 00000004"),
            (WatcherType::PersistentRecursive, "00000002 2f61 00000005"),
        ] {
            let record = RemoveWatches { path: "/a".into(), kind: kind.number() };
            assert_eq!(record.to_bytes(), hex(golden));
            assert_eq!(RemoveWatches::from_bytes(&hex(golden)), Ok(record));
        }
    }

    #[test]
    fn lasting_watches_are_restored_in_their_own_lists() {
        let watches = SetWatches2 {
            relative_zxid: Zxid(9),
            data: Some(vec![].into()),
            exist: Some(vec![].into()),
            child: Some(vec![].into()),
            persistent: Some(vec!["/a".into()].into()),
            persistent_recursive: Some(vec!["/b".into()].into()),
        };
        let golden = "00000032 fffffff8 00000069 0000000000000009 00000000 00000000 00000000
                      00000001 00000002 2f61  00000001 00000002 2f62";
        assert_eq!(sent(&mut connected(), &watches)[4..], hex(golden)[4..]);
    }

    #[test]
    fn quotas_and_throttling_have_their_codes() {
        for (err, code) in [("ffffff83", ErrorCode::QuotaExceeded), ("ffffff81", ErrorCode::ThrottledOp)] {
            let header = ReplyHeader::from_bytes(&hex(&format!("00000001 000000000000002a {err}"))).expect("a header");
            assert_eq!(ErrorCode::from_code(header.err), Some(code));
        }
    }
}
