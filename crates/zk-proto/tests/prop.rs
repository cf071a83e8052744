//! The laws of the records: what is written is read back, no bytes panic, every strict prefix is an error, and memory is
//! taken for what arrived.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::borrow::Cow;

use packetizer::{Call, Limits, Mux, Output, Reply, Unsent, frame_codec::Raw};
use proptest::{collection::vec, prelude::*};
use zk_proto::{
    Acl, Children, CloseSession, ConnectRequest, ConnectResponse, Create, Created, Data, Delete, Exists, GetChildren,
    GetData, Password, Permissions, Ping, Record, ReplyHeader, RequestHeader, Session, SessionId, SetData, Stat,
    WatcherEvent, Xid, Zxid, jute::Reader, path,
};

/// Round trip, indifference to what follows, and an error for every strict prefix.
///
/// `optional_tail` is how many bytes at the end a peer may leave out.
fn check<'a, R: Record<'a> + PartialEq + std::fmt::Debug>(
    record: &R,
    bytes: &'a [u8],
    optional_tail: usize,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(&record.to_bytes(), bytes);
    let mut reader = Reader::new(bytes);
    prop_assert_eq!(&R::decode(&mut reader).unwrap(), record);
    prop_assert_eq!(reader.left(), 0, "a record is read to its end");
    for len in 0..bytes.len() - optional_tail {
        prop_assert!(R::from_bytes(&bytes[..len]).is_err(), "{} of {} bytes", len, bytes.len());
    }
    Ok(())
}

/// Bytes of a record that live as long as the test does; the tests are short.
fn leak(record: &impl Record<'static>) -> &'static [u8] {
    Box::leak(record.to_bytes().into_boxed_slice())
}

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof![".{0,12}", "(/[a-z]{1,5}){1,3}"].prop_map(Cow::Owned)
}

fn buffer() -> impl Strategy<Value = Option<&'static [u8]>> {
    prop::option::of(vec(any::<u8>(), 0..40).prop_map(|bytes| &*bytes.leak()))
}

fn password() -> impl Strategy<Value = Password<'static>> {
    vec(any::<u8>(), 0..20).prop_map(Password::new)
}

fn acl() -> impl Strategy<Value = Acl<'static>> {
    (any::<i32>(), text(), text()).prop_map(|(bits, scheme, id)| Acl { permissions: Permissions(bits), scheme, id })
}

prop_compose! {
    fn stat()(longs in any::<[i64; 6]>(), ints in any::<[i32; 5]>()) -> Stat {
        Stat {
            czxid: Zxid(longs[0]),
            mzxid: Zxid(longs[1]),
            ctime: longs[2],
            mtime: longs[3],
            version: ints[0],
            cversion: ints[1],
            aversion: ints[2],
            ephemeral_owner: SessionId(longs[4]),
            data_length: ints[3],
            num_children: ints[4],
            pzxid: Zxid(longs[5]),
        }
    }
}

proptest! {
    #[test]
    fn handshakes_survive(
        (version, timeout_ms) in any::<(i32, i32)>(),
        (zxid, session) in any::<(i64, i64)>(),
        password in password(),
        read_only in any::<Option<bool>>(),
    ) {
        let tail = usize::from(read_only.is_some());
        let session = SessionId(session);
        let request = ConnectRequest {
            protocol_version: version,
            last_zxid_seen: Zxid(zxid),
            timeout_ms,
            session,
            password: password.clone(),
            read_only,
        };
        check(&request, leak(&request), tail)?;
        let response = ConnectResponse { protocol_version: version, timeout_ms, session, password, read_only };
        check(&response, leak(&response), tail)?;
        prop_assert_eq!(response.grant().is_some(), timeout_ms > 0);
    }

    #[test]
    fn headers_and_stats_survive((xid, op, err) in any::<(i32, i32, i32)>(), zxid in any::<i64>(), stat in stat()) {
        let request = RequestHeader { xid: Xid(xid), op };
        check(&request, leak(&request), 0)?;
        let reply = ReplyHeader { xid: Xid(xid), zxid: Zxid(zxid), err };
        check(&reply, leak(&reply), 0)?;
        check(&stat, leak(&stat), 0)?;
    }

    #[test]
    fn requests_survive(
        path in text(),
        data in buffer(),
        acl in vec(acl(), 0..4),
        number in any::<i32>(),
        watch in any::<bool>(),
    ) {
        let create = Create { path: path.clone(), data, acl: acl.into(), flags: number };
        check(&create, leak(&create), 0)?;
        let delete = Delete { path: path.clone(), version: number };
        check(&delete, leak(&delete), 0)?;
        let set = SetData { path: path.clone(), data, version: number };
        check(&set, leak(&set), 0)?;
        let exists = Exists { path: path.clone(), watch };
        check(&exists, leak(&exists), 0)?;
        let get = GetData { path: path.clone(), watch };
        check(&get, leak(&get), 0)?;
        let children = GetChildren { path, watch };
        check(&children, leak(&children), 0)?;
        check(&Ping, leak(&Ping), 0)?;
        check(&CloseSession, leak(&CloseSession), 0)?;
    }

    #[test]
    fn replies_survive(
        path in text(),
        data in buffer(),
        names in vec(text(), 0..6),
        (kind, state) in any::<(i32, i32)>(),
        stat in stat(),
    ) {
        let created = Created { path: path.clone() };
        check(&created, leak(&created), 0)?;
        let data = Data { data, stat };
        check(&data, leak(&data), 0)?;
        let children = Children { names };
        check(&children, leak(&children), 0)?;
        let event = WatcherEvent { kind, state, path };
        check(&event, leak(&event), 0)?;
    }

    #[test]
    fn no_bytes_panic_and_what_is_accepted_is_written_back(bytes in hostile()) {
        fn read<'a, R: Record<'a>>(bytes: &'a [u8]) -> Option<Vec<u8>> {
            R::from_bytes(bytes).ok().map(|record| record.to_bytes())
        }
        let readings = [
            read::<ConnectRequest<'_>>(&bytes),
            read::<ConnectResponse<'_>>(&bytes),
            read::<RequestHeader>(&bytes),
            read::<ReplyHeader>(&bytes),
            read::<Create<'_>>(&bytes),
            read::<Delete<'_>>(&bytes),
            read::<SetData<'_>>(&bytes),
            read::<Exists<'_>>(&bytes),
            read::<Created<'_>>(&bytes),
            read::<Data<'_>>(&bytes),
            read::<WatcherEvent<'_>>(&bytes),
        ];
        for written in readings.into_iter().flatten() {
            prop_assert!(written.len() <= bytes.len(), "nothing grows by being read and written");
        }
    }

    #[test]
    fn a_list_takes_memory_for_what_arrived(bytes in hostile()) {
        if let Ok(children) = Children::from_bytes(&bytes) {
            prop_assert!(children.names.capacity() * 4 <= bytes.len());
        }
        let elements = Reader::new(&bytes).vector("acl", 12, Acl::decode);
        prop_assert!(elements.is_err() || elements.is_ok_and(|acl| acl.capacity() * 12 <= bytes.len()));
    }

    #[test]
    fn no_frames_from_a_server_panic(frames in vec(hostile(), 0..8), handshake in any::<bool>()) {
        let mut mux = Mux::new(Raw, Session::default(), Limits::default());
        mux.request(&ConnectRequest::new_session(std::time::Duration::from_secs(1)), ()).unwrap();
        for watch in [true, false] {
            mux.request(&GetChildren { path: "/a".into(), watch }, ()).unwrap();
            mux.request(&GetData { path: "/a".into(), watch }, ()).unwrap();
        }
        while let Some(block) = mux.poll_transmit() {
            mux.handle_written(block.len());
        }
        if handshake {
            let granted = ConnectResponse {
                protocol_version: 0,
                timeout_ms: 1,
                session: SessionId(1),
                password: Password::NONE,
                read_only: None,
            };
            mux.handle_frame(granted.to_bytes().into()).unwrap();
        }
        for (xid, frame) in (1_i32..).zip(&frames) {
            // Half of them with a header that is due, so that bodies are read too.
            let mut due = ReplyHeader { xid: Xid(xid), zxid: Zxid(1), err: 0 }.to_bytes();
            due.extend_from_slice(frame);
            let frame = if frame.len() % 2 == 0 { &due } else { frame };
            if mux.handle_frame(frame.clone().into()).is_err() {
                break;
            }
        }
        mux.handle_disconnect(Unsent::Fail);
        let mut answers = 0;
        while let Some(output) = mux.poll_output() {
            let Output::Answer { result, .. } = output else { continue };
            answers += 1;
            // Whatever the call was, whatever the reply is read as.
            let Ok(Reply { context, frame }) = result else { continue };
            let _ = <ConnectRequest<'_> as Call>::decode(context, frame.clone());
            let _ = <GetChildren<'_> as Call>::decode(context, frame.clone());
            let _ = <GetData<'_> as Call>::decode(context, frame.clone());
            let _ = <Exists<'_> as Call>::decode(context, frame.clone());
            let _ = <Create<'_> as Call>::decode(context, frame);
        }
        prop_assert_eq!(answers, 5, "each call is answered once");
    }

    #[test]
    fn any_valid_path_survives_the_wire(path in ".{0,12}") {
        if path::validate(&path).is_ok() {
            prop_assert!(path.starts_with('/') && (path == "/" || !path.ends_with('/')));
            prop_assert!(path.chars().all(|c| u32::from(c) < 0xfff0));
            prop_assert!(path::validate_sequential(&path).is_ok());
        }
    }

    #[test]
    fn text_as_java_writes_it_is_read_as_it_was_meant(text in any::<String>()) {
        let mut bytes = Vec::new();
        for unit in text.encode_utf16() {
            // Each UTF-16 unit by itself, surrogates included, in the pattern of UTF-8.
            let [high, low] = [unit >> 8, unit & 0xff].map(|byte| byte as u8);
            match unit {
                0..0x80 => bytes.push(low),
                0x80..0x800 => bytes.extend([0xc0 | (unit >> 6) as u8, 0x80 | low & 0x3f]),
                _ => bytes.extend([0xe0 | high >> 4, 0x80 | (unit >> 6) as u8 & 0x3f, 0x80 | low & 0x3f]),
            }
        }
        let record = [&i32::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat();
        prop_assert_eq!(Reader::new(&record).text("name"), Ok(Cow::Owned::<str>(text)));
    }
}

/// Bytes that look like records now and then: small numbers, lengths that fit, lengths that do not.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => (0..6_i32).prop_map(|n| n.to_be_bytes().to_vec()),
        1 => Just(vec![0xff; 4]),
        1 => Just(i32::MAX.to_be_bytes().to_vec()),
        1 => any::<i32>().prop_map(|n| n.to_be_bytes().to_vec()),
        2 => Just(b"/a".to_vec()),
        2 => vec(any::<u8>(), 0..8),
        1 => Just(vec![0; 68]),
    ];
    vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}
