//! Hostile bytes for the ZooKeeper protocol: frames, requests, replies, and a session that hears whatever a server may say.
//!
//! Included by the fuzz targets and by the test that replays their corpora without a fuzzer.

use std::time::{Duration, Instant};

use frame_codec::{LengthPrefixed, testing};
use packetizer::{Limits, Mux, Output, Unsent};
use zk_proto::{
    AddWatch, ConnectRequest, ConnectResponse, GetData, OpCode, Record, ReplyHeader, Request, RequestHeader, Response,
    Session, SessionEvent, WatchId, WatcherEvent, jute::Reader, session::Watching,
};

use super::framings::Check;

/// The fuzz targets by name.
pub const TARGETS: [(&str, Check); 4] =
    [("zk_frame", frame), ("zk_request", request), ("zk_reply", reply), ("zk_session", session)];

/// Frames are found wherever the bytes are split, and a length that cannot be is an error.
fn frame(data: &[u8]) {
    testing::strict(&LengthPrefixed::zookeeper(), data);
}

/// What a server reads: by its header, and as every operation.
fn request(data: &[u8]) {
    survives(data, |bytes| ConnectRequest::from_bytes(bytes).ok().map(|record| record.to_bytes()));
    let mut reader = Reader::new(data);
    if let Ok(header) = RequestHeader::decode(&mut reader)
        && let Some(op) = OpCode::from_code(header.op)
    {
        let body = &data[data.len() - reader.left()..];
        survives(body, |bytes| {
            let request = Request::decode(op, &mut Reader::new(bytes)).ok()?;
            let mut written = Vec::new();
            request.encode(&mut written);
            Some(written)
        });
    }
    for op in OpCode::ALL {
        drop(Request::decode(*op, &mut Reader::new(data)));
    }
}

/// What a client reads: as the reply to every operation.
fn reply(data: &[u8]) {
    survives(data, |bytes| ConnectResponse::from_bytes(bytes).ok().map(|record| record.to_bytes()));
    survives(data, |bytes| WatcherEvent::from_bytes(bytes).ok().map(|record| record.to_bytes()));
    survives(data, |bytes| ReplyHeader::from_bytes(bytes).ok().map(|record| record.to_bytes()));
    for op in OpCode::ALL {
        survives(data, |bytes| {
            let response = Response::decode(*op, &mut Reader::new(bytes)).ok()?;
            let mut written = Vec::new();
            response.encode(&mut written);
            Some(written)
        });
    }
}

/// What is read once and written again is read as the same: a value has one form, and nothing grows.
pub fn survives(data: &[u8], rewritten: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let Some(first) = rewritten(data) else { return };
    assert!(first.len() <= data.len(), "{} bytes became {}", data.len(), first.len());
    let second = rewritten(&first).expect("what was written is read");
    assert_eq!(first, second, "it is read as something else the second time");
}

/// A session over connections that come, break and say anything: the first byte of each piece says what happens.
fn session(data: &[u8]) {
    let start = Instant::now();
    let mut now = start;
    let mut mux: Mux<Session, u32> = Mux::new(LengthPrefixed::zookeeper(), Session::default(), Limits::default());
    let (mut calls, mut answers, mut is_open, mut has_ended) = (0_u32, 0_u32, false, false);
    let mut rest = data;
    while let Some((&what, tail)) = rest.split_first() {
        let len = usize::from(tail.first().copied().unwrap_or(0)).min(tail.len().saturating_sub(1));
        let piece = if tail.is_empty() { tail } else { &tail[1..=len] };
        rest = if tail.is_empty() { tail } else { &tail[1 + len..] };
        now += Duration::from_millis(u64::from(what >> 4) * 500);
        match what & 7 {
            0 if !is_open => {
                mux.handle_connect();
                mux.protocol_mut().handle_open(now + Duration::from_secs(3), now);
                is_open = true;
            }
            1 if is_open => {
                mux.handle_disconnect(Unsent::Keep);
                mux.protocol_mut().handle_lost(now);
                is_open = false;
            }
            2 => drop(mux.protocol_mut().handle_timeout(now)),
            3 => {
                calls += u32::from(mux.request(&GetData { path: "/a".into(), watch: false }, calls).is_ok());
            }
            4 => {
                let call = Watching { call: AddWatch { path: "/a".into(), mode: 1 }, user: WatchId(calls.into()) };
                calls += u32::from(mux.request(&call, calls).is_ok());
            }
            5 => drop(mux.protocol_mut().unwatch(WatchId(u64::from(what >> 3)))),
            _ if is_open => {
                // A connection whose server breaks the protocol is lost.
                if mux.handle_frame(piece.to_vec().into()).is_err() {
                    mux.handle_disconnect(Unsent::Keep);
                    mux.protocol_mut().handle_lost(now);
                    is_open = false;
                } else {
                    mux.protocol_mut().handle_received(now);
                }
            }
            _ => {}
        }
        while let Some(call) = mux.protocol_mut().poll_call() {
            // One that is not needed any more says so.
            drop(mux.request_with(&call, call.options(), u32::MAX));
        }
        while is_open && let Some(block) = mux.poll_transmit() {
            mux.handle_written(block.len());
        }
        while let Some(output) = mux.poll_output() {
            answers += u32::from(matches!(output, Output::Answer { waiter, .. } if waiter != u32::MAX));
        }
        while let Some(event) = mux.protocol_mut().poll_event() {
            assert!(!has_ended, "{event:?} after the end");
            has_ended = matches!(event, SessionEvent::Ended(_));
        }
    }
    mux.handle_disconnect(Unsent::Fail);
    while let Some(output) = mux.poll_output() {
        answers += u32::from(matches!(output, Output::Answer { waiter, .. } if waiter != u32::MAX));
    }
    assert_eq!(answers, calls, "each call is answered once");
}
