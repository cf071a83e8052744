//! Each failure has its exit code and its words, and no secret is in them.

use std::net::TcpListener;

use zk_proto::{ErrorCode, OpCode};

use crate::{
    peer::{Act, Peer},
    running::{finish, zk},
};

#[test]
fn a_script_can_tell_failures_apart_by_the_exit_code() {
    for (code, exit) in [
        (ErrorCode::NoNode, 3),
        (ErrorCode::BadVersion, 4),
        (ErrorCode::NoAuth, 5),
        (ErrorCode::QuotaExceeded, 1),
        (ErrorCode::Unknown(-4711), 1),
    ] {
        let peer = Peer::start(move |_, _| Act::Reject(code));
        let set = finish(&mut zk(&peer.address, ["set", "/a", "x"]));
        assert_eq!((set.code, set.stdout.as_slice()), (Some(exit), &b""[..]), "{code}: {}", set.stderr);
        assert!(set.stderr.starts_with("zk: set \"/a\": "), "{}", set.stderr);
    }
    let peer = Peer::start(|_, _| Act::Reject(ErrorCode::NoNode));
    let stat = finish(&mut zk(&peer.address, ["stat", "/a"]));
    assert_eq!((stat.code, stat.stderr.as_str()), (Some(3), "zk: stat \"/a\": the node does not exist\n"));
}

/// A server that has lost its quorum rejects those who do not say that it will do.
#[test]
fn a_read_only_server_is_accepted_if_that_is_asked_for() {
    let peer = Peer::start(|_, _| Act::Reject(ErrorCode::NotReadOnly));
    let set = finish(&mut zk(&peer.address, ["-r", "set", "/a", "x"]));
    assert_eq!((set.code, set.stderr.as_str()), (Some(1), "zk: set \"/a\": the server is read-only at present\n"));
    assert!(peer.read_only(), "it was asked for a session of a read-only server");
    let peer = Peer::start(|_, _| Act::Reject(ErrorCode::NoNode));
    assert_eq!(finish(&mut zk(&peer.address, ["get", "/a"])).code, Some(3));
    assert!(!peer.read_only());
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    let peer = Peer::start(|_, _| Act::Silence);
    for arguments in [
        &["get"][..],
        &["get", "a"],
        &["get", "/a/"],
        &["set", "/a"],
        &["set", "/a", "x", "--file", "-"],
        &["create", "/a", "x", "world:anyone:q"],
        &["--auth", "hunter2", "get", "/a"],
    ] {
        let wrong = finish(&mut zk(&peer.address, arguments));
        assert_eq!(wrong.code, Some(2), "{arguments:?}: {}", wrong.stderr);
        assert!(!wrong.stderr.contains("hunter2"), "{}", wrong.stderr);
    }
    let wrong = finish(&mut zk("no port:1", ["get", "/a"]));
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let got = finish(&mut zk(&address, ["get", "/a"]));
    assert_eq!(got.code, Some(1));
    assert!(got.stderr.contains(&address) && got.stderr.contains("is a server running there?"), "{}", got.stderr);
}

#[test]
fn a_change_whose_reply_is_lost_leaves_a_doubt_and_is_not_repeated() {
    let peer = Peer::start(|_, _| Act::HangUp);
    let set = finish(&mut zk(&peer.address, ["set", "/a", "x"]));
    assert_eq!(set.code, Some(6), "{}", set.stderr);
    assert!(set.stderr.contains("may have been executed"), "{}", set.stderr);
    assert_eq!(peer.seen().iter().filter(|op| **op == OpCode::SetData).count(), 1);
    // A read that is lost leaves none.
    let peer = Peer::start(|_, _| Act::HangUp);
    assert_eq!(finish(&mut zk(&peer.address, ["get", "/a"])).code, Some(1));
}

#[test]
fn a_server_that_does_not_answer_is_given_up_in_time() {
    let peer = Peer::start(|_, _| Act::Silence);
    let got = finish(&mut zk(&peer.address, ["--timeout", "300ms", "get", "/a"]));
    assert_eq!(got.code, Some(1));
    let set = finish(&mut zk(&peer.address, ["--timeout", "300ms", "set", "/a", "x"]));
    assert_eq!(set.code, Some(6), "{}", set.stderr);
}

#[test]
fn a_proof_that_is_rejected_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("auth");
    std::fs::write(&file, "digest:user:hunter2\n").unwrap();
    for arguments in [["--auth", "digest:user:hunter2"], ["--auth-file", file.to_str().unwrap()]] {
        let peer = Peer::start(|_, _| Act::Reject(ErrorCode::AuthFailed));
        let got = finish(zk(&peer.address, ["get", "/a"]).args(arguments));
        assert_eq!(got.code, Some(5), "{}", got.stderr);
        assert!(!got.stderr.contains("hunter2"), "{}", got.stderr);
        peer.saw(OpCode::Auth);
    }
}
