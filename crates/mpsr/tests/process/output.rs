//! The events of `listen --json`: their names, their fields and their order.

use std::{
    io::Write as _,
    os::unix::net::{UnixListener, UnixStream},
};

use serde_json::{Value, json};

use crate::listen::{Listen, bound, directory, of_kind, unix};

/// The names of its fields, in alphabetical order.
fn fields(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn each_event_has_its_documented_fields() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let sockets = directory.path().join("sockets");
    std::fs::create_dir(&sockets).unwrap();
    let mut listen = Listen::start([unix(&path), format!("dir:{}", sockets.display())]);
    let mut producer = UnixStream::connect(&path).unwrap();
    producer.write_all(b"quote \" backslash \\ tab \t\n").unwrap();
    drop(producer);
    listen.until("left");
    let end = listen.stop();

    let events: Vec<_> = end.events.iter().map(|event| event["event"].as_str().expect("a name")).collect();
    assert_eq!(events, ["listening", "watching", "joined", "message", "left"]);
    assert_eq!(end.events[0], json!({ "event": "listening", "address": unix(&path) }));
    assert_eq!(end.events[1], json!({ "event": "watching", "address": format!("dir:{}", sockets.display()) }));
    let ids = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    assert_eq!(
        end.events[2],
        json!({
            "event": "joined", "producer": 1, "address": unix(&path), "via": "listen",
            "pid": std::process::id(), "uid": ids.0, "gid": ids.1,
        })
    );
    assert_eq!(end.events[3], json!({ "event": "message", "producer": 1, "text": "quote \" backslash \\ tab \t" }));
    let left = ["bytes", "delivered", "event", "lost", "producer", "reason", "received", "truncated"];
    assert_eq!(fields(&end.events[4]), left);
    let report = [
        "bytes",
        "delivered",
        "event",
        "lost",
        "producers",
        "reason",
        "received",
        "rejected",
        "seconds",
        "shed",
        "truncated",
    ];
    assert_eq!(fields(&end.report), report);
}

#[test]
fn a_socket_in_the_directory_that_refuses_is_warned_of_and_others_are_received_from() {
    let directory = directory();
    let dead = directory.path().join("dead.sock");
    // Bound and not listening, for as long as we live: one that nobody had would be taken for stale, and not be tried.
    let _bound = bound(&dead);
    let live = UnixListener::bind(directory.path().join("live.sock")).unwrap();
    let mut listen = Listen::start([format!("dir:{}", directory.path().display())]);
    let (mut stream, _) = live.accept().unwrap();
    stream.write_all(b"alive\n").unwrap();
    drop(stream);
    listen.until_count("left", 1);
    listen.until_count("warning", 1);
    let warning = of_kind(&listen.events, "warning")[0];
    assert_eq!(warning["address"], unix(&dead));
    assert!(warning["text"].as_str().expect("a text").contains("nobody is listening"), "{warning}");
    listen.stop().assert_account(1, 1, 0);
}

#[test]
fn a_receiver_whose_own_socket_is_in_the_directory_does_not_connect_to_itself() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([unix(&path), format!("dir:{}", directory.path().display())]);
    let other = UnixListener::bind(directory.path().join("other.sock")).unwrap();
    drop(other.accept().unwrap());
    listen.until("left");
    let joined = of_kind(&listen.events, "joined").len();
    assert_eq!(joined, 1, "{:#?}", listen.events);
    listen.stop().assert_account(1, 0, 0);
}
