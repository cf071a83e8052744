//! The laws of the records: what is written is read back, no bytes panic, every strict prefix is an error, and memory is
//! taken for what arrived.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::borrow::Cow;

use packetizer::{Call, Limits, Mux, Output, Reply, Unsent, frame_codec::Raw};
use proptest::{collection::vec, prelude::*};
use zk_proto::{
    Acl, Children, ConnectRequest, ConnectResponse, Create, Exists, GetChildren, GetData, OpCode, Password, Record,
    ReplyHeader, Request, RequestHeader, Response, Session, SessionId, WatcherEvent, Xid, Zxid,
    jute::Reader,
    path,
    testing::{self, hostile},
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

proptest! {
    #[test]
    fn handshakes_survive(request in testing::connect_request(), response in testing::connect_response()) {
        check(&request, leak(&request), usize::from(request.read_only.is_some()))?;
        check(&response, leak(&response), usize::from(response.read_only.is_some()))?;
        prop_assert_eq!(response.grant().is_some(), response.timeout_ms > 0);
    }

    #[test]
    fn headers_stats_and_events_survive(
        (xid, op, err) in any::<(i32, i32, i32)>(),
        zxid in any::<i64>(),
        stat in testing::stat(),
        event in testing::watcher_event(),
    ) {
        let request = RequestHeader { xid: Xid(xid), op };
        check(&request, leak(&request), 0)?;
        let reply = ReplyHeader { xid: Xid(xid), zxid: Zxid(zxid), err };
        check(&reply, leak(&reply), 0)?;
        check(&stat, leak(&stat), 0)?;
        check(&event, leak(&event), 0)?;
    }

    #[test]
    fn requests_survive(request in testing::request()) {
        testing::check_request(&request)?;
    }

    #[test]
    fn replies_survive(response in testing::response()) {
        testing::check_response(&response)?;
    }

    #[test]
    fn conversations_are_read_back_by_their_headers(exchanges in testing::conversation()) {
        for exchange in &exchanges {
            let mut reader = Reader::new(&exchange.asked);
            let header = RequestHeader::decode(&mut reader).unwrap();
            let op = OpCode::from_code(header.op).unwrap();
            prop_assert_eq!(op, exchange.request.op());
            let mut written = exchange.asked[..8].to_vec();
            Request::decode(op, &mut reader).unwrap().encode(&mut written);
            prop_assert_eq!(&written, &exchange.asked);
            let mut reader = Reader::new(&exchange.answered);
            let reply = ReplyHeader::decode(&mut reader).unwrap();
            prop_assert_eq!(reply.xid, header.xid);
            prop_assert_eq!(Response::decode(op, &mut reader).is_ok(), reply.err == 0 || op_is_empty(op));
        }
    }

    #[test]
    fn memory_follows_the_bytes_that_arrived(bytes in hostile()) {
        for op in OpCode::ALL {
            // An element of 9 bytes becomes one of 200, and a vector doubles: no more than that, whatever a count claims.
            let most = 64 * bytes.len() + 1024;
            let asked = heap_kit::peak_in_thread(|| drop(Request::decode(*op, &mut Reader::new(&bytes))));
            let answered = heap_kit::peak_in_thread(|| drop(Response::decode(*op, &mut Reader::new(&bytes))));
            prop_assert!(asked.max(answered) <= most, "{}: {asked}, {answered} for {} bytes", op.name(), bytes.len());
        }
    }

    #[test]
    fn no_bytes_panic_and_what_is_accepted_is_written_back(bytes in hostile()) {
        let mut readings = vec![
            ConnectRequest::from_bytes(&bytes).ok().map(|record| record.to_bytes()),
            ConnectResponse::from_bytes(&bytes).ok().map(|record| record.to_bytes()),
            RequestHeader::from_bytes(&bytes).ok().map(|record| record.to_bytes()),
            ReplyHeader::from_bytes(&bytes).ok().map(|record| record.to_bytes()),
            WatcherEvent::from_bytes(&bytes).ok().map(|record| record.to_bytes()),
        ];
        for op in OpCode::ALL {
            readings.push(Request::decode(*op, &mut Reader::new(&bytes)).ok().map(|request| {
                let mut written = Vec::new();
                request.encode(&mut written);
                written
            }));
            readings.push(Response::decode(*op, &mut Reader::new(&bytes)).ok().map(|response| {
                let mut written = Vec::new();
                response.encode(&mut written);
                written
            }));
        }
        for written in readings.into_iter().flatten() {
            prop_assert!(written.len() <= bytes.len(), "nothing grows by being read and written");
        }
    }

    #[test]
    fn a_list_takes_memory_for_what_arrived(bytes in hostile()) {
        if let Ok(children) = Children::from_bytes(&bytes) {
            prop_assert!(children.names.unwrap_or_default().memory_len() <= bytes.len());
        }
        let elements = Reader::new(&bytes).vector("acl", 12, Acl::decode);
        prop_assert!(elements.is_err() || elements.is_ok_and(|acl| acl.is_none_or(|acl| acl.len() * 12 <= bytes.len())));
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
            let _ = <ConnectRequest<'_> as Call>::decode(context.clone(), frame.clone());
            let _ = <GetChildren<'_> as Call>::decode(context.clone(), frame.clone());
            let _ = <GetData<'_> as Call>::decode(context.clone(), frame.clone());
            let _ = <Exists<'_> as Call>::decode(context.clone(), frame.clone());
            let _ = <Create<'_> as Call>::decode(context.clone(), frame);
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

/// Whether the reply to an operation has no body, so that one that says an error reads like one that does not.
fn op_is_empty(op: OpCode) -> bool {
    Response::decode(op, &mut Reader::new(&[])).is_ok()
}
