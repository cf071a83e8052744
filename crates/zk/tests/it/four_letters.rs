//! `4lw`: words that servers answer in text.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use serde_json::json;

use crate::running::{finish, zk};

/// A server that answers every word with this.
fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut word) = (stream.unwrap(), [0; 4]);
            stream.read_exact(&mut word).unwrap();
            stream.write_all(answer).unwrap();
        }
    });
    address
}

#[test]
fn answers_are_printed_as_they_are() {
    let address = server(b"Zookeeper version: 3.9\nMode: \xff\n");
    let asked = finish(&mut zk(&address, ["4lw", "srvr"]));
    assert_eq!((asked.code, asked.stdout.as_slice()), (Some(0), &b"Zookeeper version: 3.9\nMode: \xff\n"[..]));
    let address = server(b"imok");
    let object = finish(&mut zk(&address, ["--json", "4lw", "ruok"])).json();
    assert_eq!(object, json!({ "server": address, "word": "ruok", "answer": "imok" }));
}

#[test]
fn every_server_is_asked_and_one_that_does_not_answer_is_a_failure() {
    let (first, second) = (server(b"rw"), server(b""));
    let asked = finish(&mut zk(&format!("{first},{second}"), ["4lw", "isro"]));
    assert_eq!((asked.code, asked.stdout.as_slice()), (Some(1), &b"rw"[..]));
    let expected = format!("{first}\nzk: cannot ask {second}: it closed the connection without an answer\n");
    assert_eq!(asked.stderr, expected);
    let address = server(b"mntr is not executed because it is not in the whitelist.\n");
    let asked = finish(&mut zk(&address, ["4lw", "mntr"]));
    assert_eq!((asked.code, asked.stdout.as_slice()), (Some(1), &b""[..]));
    assert!(asked.stderr.contains("4lw.commands.whitelist"), "{}", asked.stderr);
}
