//! `watch`: events as lines or objects, over lost connections, until a signal or a count.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};
use zk_proto::{ErrorResponse, OpCode, Record as _, Request, WatcherEvent};

use crate::{
    peer::{Act, Peer},
    running::{Running, finish, zk},
};

fn event(kind: i32, path: &'static str) -> WatcherEvent<'static> {
    WatcherEvent { kind, state: 3, path: path.into() }
}

/// A server that sends these events right behind the reply to the request for a watch.
fn watched(mode: i32, events: Vec<WatcherEvent<'static>>) -> Peer {
    Peer::start(move |_, request| match request {
        Request::AddWatch(watch) if watch.mode == mode => {
            let reply = ErrorResponse { err: 0 }.to_bytes();
            Act::Then(reply, events.clone())
        }
        _ => panic!("{request:?}"),
    })
}

#[test]
fn each_event_is_a_line_and_a_count_ends_it() {
    let events = vec![event(1, "/a/b"), event(3, "/a/b"), event(2, "/a/b"), event(99, "/a")];
    let peer = watched(1, events);
    let watched = finish(&mut zk(&peer.address, ["watch", "/a", "-n", "3"]));
    assert_eq!(watched.code, Some(0), "{}", watched.stderr);
    assert_eq!(String::from_utf8(watched.stdout).unwrap(), "created /a/b\ndata /a/b\ndeleted /a/b\n");
    assert_eq!(watched.stderr, "watching /a\n");
}

#[test]
fn each_event_is_an_object_if_that_is_asked_for() {
    let peer = watched(0, vec![event(4, "/a"), event(3, "/a")]);
    let watched = finish(&mut zk(&peer.address, ["--json", "watch", "-m", "node", "/a", "-n", "2"]));
    let objects: Vec<Value> =
        String::from_utf8(watched.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects[0], json!({ "event": "watching", "path": "/a" }));
    assert_eq!(objects[1], json!({ "event": "children", "path": "/a", "zxid": 8 }));
    assert_eq!((&objects[2]["event"], objects.len(), watched.stderr.as_str()), (&json!("data"), 3, ""));
}

#[test]
fn a_lost_connection_is_told_and_so_is_that_events_may_be_missing() {
    let peer = Peer::start(|connection, request| match (connection, request) {
        (0, Request::AddWatch(_)) => Act::Last(ErrorResponse { err: 0 }.to_bytes()),
        _ => panic!("{request:?}"),
    });
    let mut command = zk(&peer.address, ["--json", "watch", "/a"]);
    let mut running = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let stdout = running.stdout();
    stdout.until("\"watching\"");
    let mut told = vec![stdout.next().unwrap(), stdout.next().unwrap(), stdout.next().unwrap()];
    told.sort();
    assert_eq!(told, [r#"{"event":"resumed"}"#, r#"{"event":"resync"}"#, r#"{"event":"suspended"}"#]);
    peer.saw(OpCode::SetWatches2);
    running.signal(Signal::TERM);
    assert_eq!(running.wait(), Some(0), "it did what was asked until it was told to stop");
    peer.saw(OpCode::CloseSession);
}

#[test]
fn a_session_that_ends_is_a_failure() {
    let peer = Peer::start(|_, _| Act::Reject(zk_proto::ErrorCode::SessionExpired));
    let watched = finish(&mut zk(&peer.address, ["watch", "/a"]));
    assert_eq!(watched.code, Some(1));
    assert!(watched.stderr.contains("the session has expired"), "{}", watched.stderr);
}
