//! The events of `listen --json`: their names, their fields and their order.

use std::{
    ffi::OsStr,
    io::Write as _,
    os::unix::{
        ffi::OsStrExt as _,
        net::{UnixListener, UnixStream},
    },
    path::Path,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use serde_json::{Value, json};

use crate::{
    listen::{Listen, bound, directory, of_kind, unix},
    running::{finish, mpsr},
};

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
        "failed_sources",
        "lost",
        "producers",
        "reason",
        "received",
        "rejected",
        "seconds",
        "shed",
        "shortened",
        "skipped",
        "truncated",
        "unread",
        "unterminated",
    ];
    assert_eq!(fields(&end.report), report);
}

#[test]
fn addresses_are_exact_whatever_bytes_they_have() {
    let directory = directory();
    let hostile = directory.path().join("a\\u{1b} \x1b[2J \" \u{202e} ü.sock");
    let binary = directory.path().join(OsStr::from_bytes(b"\xff.sock"));
    let sockets = directory.path().join(OsStr::from_bytes(b"sockets \xfe"));
    std::fs::create_dir(&sockets).unwrap();
    let offered = UnixListener::bind(sockets.join("\x07.sock")).unwrap();
    let address = |kind: &str, path: &Path| [kind.as_bytes(), path.as_os_str().as_bytes()].concat();
    let places = [address("unix:", &hostile), address("unix:", &binary), address("dir:", &sockets)];
    let mut listen = Listen::start(places.iter().map(|place| OsStr::from_bytes(place)));
    let _offered = offered.accept().unwrap();
    let _producers = [&hostile, &binary].map(|path| UnixStream::connect(path).unwrap());
    listen.until_count("joined", 3);
    let told = |kind: &str| {
        let mut told: Vec<Vec<u8>> = of_kind(&listen.events, kind).into_iter().map(exact).collect();
        told.sort();
        told
    };
    let sorted = |mut addresses: Vec<Vec<u8>>| {
        addresses.sort();
        addresses
    };
    assert_eq!(told("listening"), sorted(places[..2].to_vec()));
    assert_eq!(told("watching"), places[2..]);
    let offered = address("unix:", &sockets.join("\x07.sock"));
    assert_eq!(told("joined"), sorted([&places[..2], &[offered]].concat()));
    // The same bytes are arguments of the process that listens.
    let listed = finish(mpsr(["ls", "--json"]).arg(&binary), b"");
    let socket: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(BASE64_STANDARD.decode(socket["path_base64"].as_str().unwrap()).unwrap(), binary.as_os_str().as_bytes());
    let process = &socket["processes"][0];
    assert_eq!((&process["pid"], &process["name"]), (&listen.running.pid().into(), &"mpsr".into()));
    let arguments = process["command_base64"].as_array().unwrap().iter();
    let arguments: Vec<_> = arguments.map(|text| BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap()).collect();
    assert_eq!(arguments[3..], places, "{process}");
    assert_eq!(listen.stop().code, Some(0));
}

/// The bytes of the address in this event.
fn exact(event: &Value) -> Vec<u8> {
    match (event["address"].as_str(), event["address_base64"].as_str()) {
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(text)) => BASE64_STANDARD.decode(text).unwrap(),
        _ => panic!("not one address: {event}"),
    }
}

#[test]
fn a_socket_in_the_directory_that_refuses_is_warned_of_and_others_are_received_from() {
    let directory = directory();
    let dead = directory.path().join("dead.sock");
    // Bound and not listening, for as long as we live: one that no process has would be taken for stale, and not be tried.
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
    assert!(warning["text"].as_str().expect("a text").contains("no process is listening on it"), "{warning}");
    listen.stop().assert_report(1, 1, 0);
}

#[test]
fn a_socket_whose_connection_ended_is_connected_to_again_if_that_was_asked_for() {
    for (arguments, is_again) in [(&["--reconnect"][..], true), (&[], false)] {
        let directory = directory();
        let server = UnixListener::bind(directory.path().join("a.sock")).unwrap();
        let address = format!("dir:{}", directory.path().display());
        let mut listen = Listen::start([address.as_str()].iter().chain(arguments));
        let serve = |text: &[u8]| server.accept().unwrap().0.write_all(text).unwrap();
        serve(b"first\n");
        listen.until_count("left", 1);
        if is_again {
            serve(b"second\n");
            listen.until_count("left", 2);
        } else {
            // Another connection shows that it went on without this one.
            let other = UnixListener::bind(directory.path().join("b.sock")).unwrap();
            other.accept().unwrap().0.write_all(b"other\n").unwrap();
            listen.until_count("left", 2);
            server.set_nonblocking(true).unwrap();
            assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        }
        let texts: Vec<_> = of_kind(&listen.events, "message").into_iter().map(|event| event["text"].clone()).collect();
        assert_eq!(texts, ["first", if is_again { "second" } else { "other" }]);
        assert_eq!(listen.stop().code, Some(0));
    }
}

#[test]
fn a_name_that_is_lost_is_told_and_taken_again_if_that_was_asked_for() {
    for arguments in [&["--rebind"][..], &[]] {
        for reason in ["removed", "replaced"] {
            let directory = directory();
            let path = directory.path().join("in.sock");
            let address = unix(&path);
            let mut listen = Listen::start([address.as_str()].iter().chain(arguments));
            let mut before = UnixStream::connect(&path).unwrap();
            before.write_all(b"before\n").unwrap();
            listen.until("message");
            if reason == "removed" {
                std::fs::remove_file(&path).unwrap();
            } else {
                // A socket that no process has.
                drop(UnixListener::bind(directory.path().join("other")).unwrap());
                std::fs::rename(directory.path().join("other"), &path).unwrap();
            }
            let lost = listen.until("name-lost");
            assert_eq!(lost, json!({ "event": "name-lost", "address": address, "reason": reason }));
            if arguments.is_empty() {
                assert!(UnixStream::connect(&path).is_err());
            } else {
                assert_eq!(listen.until("rebound"), json!({ "event": "rebound", "address": address }));
                UnixStream::connect(&path).unwrap().write_all(b"after\n").unwrap();
                assert_eq!(listen.until("message")["text"], "after");
            }
            // The connection from before goes on.
            before.write_all(b"and still\n").unwrap();
            assert_eq!(listen.until("message")["text"], "and still");
            drop(before);
            listen.until_count("left", 1 + arguments.len());
            let end = listen.stop();
            assert_eq!(end.code, Some(0), "{arguments:?} {reason}: {:?}", end.report);
            assert_eq!(path.exists(), arguments.is_empty() && reason == "replaced", "only its own file is removed");
        }
    }
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
    listen.stop().assert_report(1, 0, 0);
}
