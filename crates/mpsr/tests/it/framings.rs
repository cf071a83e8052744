//! Messages from the plain clients of the field, under each framing.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::{
    clients::{find_or_skip, netcat_or_skip, python, socat},
    listen::{Listen, directory, of_kind, texts, unix},
    running::{Running, finish, mpsr},
};

/// Connects, says where it comes from, and closes, without a newline.
const HELLO: &str = "
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
peer.sendall(b'Hello from producer ' + sys.argv[2].encode())
peer.close()
";

#[test]
fn lines_come_from_printf_and_socat() {
    let Some(program) = find_or_skip("lines_come_from_printf_and_socat", "socat") else { return };
    let directory = directory();
    let path = directory.path().join("x.sock");
    let mut listen = Listen::start([unix(&path)]);
    let sent = finish(&mut socat(&program, &path), b"a\nb\n");
    assert_eq!((sent.code, sent.stderr.as_str()), (Some(0), ""));
    let left = listen.until("left");
    assert_eq!(texts(&listen.events, &left["producer"]), ["a", "b"]);
    let report = json!({
        "event": "left", "producer": 1, "received": 2, "delivered": 2, "truncated": 0, "lost": 0, "bytes": 2, "reason": "closed",
    });
    assert_eq!(left, report);
    listen.stop().assert_report(1, 2, 0);
    assert!(!path.exists(), "the name is taken back");
}

#[test]
fn five_of_five_hellos_arrive_under_lines_raw_and_until_eof() {
    const TEST: &str = "five_of_five_hellos_arrive_under_lines_raw_and_until_eof";
    let Some(socat_program) = find_or_skip(TEST, "socat") else { return };
    let Some(netcat) = netcat_or_skip(TEST) else { return };
    let Some(python_program) = find_or_skip(TEST, "python3") else { return };
    for framing in ["lines", "raw", "until-eof"] {
        let directory = directory();
        let path = directory.path().join("in.sock");
        let mut listen = Listen::start([&unix(&path), "--framing", framing]);
        let by_netcat = || {
            let mut command = Command::new(&netcat);
            command.args(["-U", "-N"]).arg(&path);
            command
        };
        let by_python = |number: &str| python(&python_program, HELLO, &[&path, number.as_ref()]);
        let commands = [
            socat(&socat_program, &path),
            by_netcat(),
            by_python("3"),
            by_python("4"),
            mpsr(["send", &unix(&path), "--framing", framing]),
        ];
        // All are there at once before any of them sends.
        let mut producers: Vec<Running> = commands
            .into_iter()
            .map(|mut command| Running::start(command.stdin(Stdio::piped()).stdout(Stdio::null())))
            .collect();
        for (number, producer) in (1..).zip(&mut producers) {
            // Python's words are in its command.
            drop(write!(producer.stdin(), "Hello from producer {number}"));
        }
        listen.until_count("left", producers.len());
        for producer in &mut producers {
            assert_eq!(producer.wait(), Some(0), "{framing}: {producer:?}");
        }
        for (number, producer) in (1..).zip(&producers) {
            let joined = of_kind(&listen.events, "joined");
            let joined: Vec<_> = joined.iter().filter(|event| event["pid"] == producer.pid()).collect();
            assert_eq!(joined.len(), 1, "{framing}: {producer:?} is known by its pid, once");
            assert_eq!(joined[0]["via"], "listen");
            let heard = texts(&listen.events, &joined[0]["producer"]);
            assert_eq!(heard, [format!("Hello from producer {number}")], "{framing}: {producer:?}");
        }
        listen.stop().assert_report(5, 5, 0);
    }
}

#[test]
fn complete_length_prefixed_frames_arrive_and_the_truncated_one_is_reported() {
    const TEST: &str = "complete_length_prefixed_frames_arrive_and_the_truncated_one_is_reported";
    /// Ends as by kill -9, at a point of its own choosing: in the middle of a frame.
    const DIES: &str = "
import os, signal, socket, struct, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
frame = lambda text: struct.pack('>I', len(text)) + text
peer.sendall(frame(b'one') + frame(b'') + frame('zwölf'.encode()) + frame(b'never complete')[:-3])
os.kill(os.getpid(), signal.SIGKILL)
";
    let Some(program) = find_or_skip(TEST, "python3") else { return };
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([&unix(&path), "--framing", "u32be"]);
    let mut producer = Running::start(&mut python(&program, DIES, &[&path]));
    assert_eq!(producer.wait(), None, "it was killed");
    let left = listen.until("left");
    assert_eq!(texts(&listen.events, &left["producer"]), ["one", "", "zwölf"]);
    assert_eq!([&left["received"], &left["delivered"], &left["truncated"], &left["lost"]], [3, 3, 1, 0]);
    assert_eq!(left["bytes"], "one".len() + "zwölf".len());
    listen.stop().assert_report(1, 3, 1);
}

#[test]
fn bytes_that_are_not_utf_8_come_in_base64() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([&unix(&path), "--framing", "until-eof"]);
    let every_byte: Vec<u8> = (0..=255).collect();
    let sent = finish(&mut mpsr(["send", &unix(&path), "--framing", "until-eof"]), &every_byte);
    assert_eq!((sent.code, sent.stderr.as_str()), (Some(0), ""));
    let message = listen.until("message");
    assert_eq!(message["text"], json!(null));
    let encoded = message["base64"].as_str().expect("the bytes are there");
    assert_eq!(base64::Engine::decode(&base64::prelude::BASE64_STANDARD, encoded), Ok(every_byte));
    listen.stop().assert_report(1, 1, 0);
}
