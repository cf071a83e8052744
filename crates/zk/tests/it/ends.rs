//! Ends from outside: signals, readers that leave, standard streams that are closed.

use std::{
    io::Read as _,
    process::{Command, Stdio},
};

use rustix::process::Signal;
use zk_proto::{Created, OpCode, Record as _, Request};

use crate::{
    peer::{Act, Peer, data, names},
    running::{Running, finish, zk},
};

#[test]
fn a_signal_ends_a_command_that_waits_and_closes_its_session() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let peer = Peer::start(|_, _| Act::Silence);
        let mut running = Running::start(zk(&peer.address, ["get", "/a"]).stdout(Stdio::null()).stderr(Stdio::null()));
        peer.saw(OpCode::GetData);
        running.signal(signal);
        assert_eq!(running.wait(), Some(code));
    }
    // A change that was asked for may have been made.
    let peer = Peer::start(|_, _| Act::Silence);
    let mut running = Running::start(zk(&peer.address, ["set", "/a", "x"]).stderr(Stdio::piped()));
    let stderr = running.stderr();
    peer.saw(OpCode::SetData);
    running.signal(Signal::INT);
    assert_eq!(running.wait(), Some(130));
    stderr.until("it is not known whether the change was made");
}

#[test]
fn an_ephemeral_node_is_held_until_the_program_is_interrupted() {
    let peer = Peer::start(|_, request| match request {
        Request::Create(new) if new.flags == 1 => Act::Reply(Created { path: new.path.clone() }.to_bytes()),
        _ => panic!("{request:?}"),
    });
    let mut command = zk(&peer.address, ["create", "-e", "/a"]);
    let mut running = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    assert_eq!(running.stdout().next().as_deref(), Some("/a"));
    assert_eq!(peer.seen(), [OpCode::Create], "the session goes on");
    running.signal(Signal::INT);
    assert_eq!(running.wait(), Some(0));
    peer.saw(OpCode::CloseSession);
}

#[test]
fn a_reader_that_has_read_enough_is_no_news() {
    let many: Vec<String> = (0..20_000).map(|n| format!("a-rather-long-name-{n:010}")).collect();
    let peer = Peer::start(move |_, request| match request {
        Request::GetChildren(list) if list.path == "/" => names(&many.iter().map(String::as_str).collect::<Vec<_>>()),
        _ => names(&[]),
    });
    let mut command = zk(&peer.address, ["ls", "-R"]);
    let mut running = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let (stdout, stderr) = (running.stdout(), running.stderr());
    assert_eq!(stdout.next().as_deref(), Some("/"));
    drop(stdout);
    assert_eq!(running.wait(), Some(1));
    assert_eq!(stderr.next(), None);
}

#[test]
fn a_signal_ends_a_program_whose_output_nothing_reads() {
    let large = vec![b'x'; 900_000];
    let peer = Peer::start(move |_, _| data(Some(&large)));
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut running = Running::start(zk(&peer.address, ["get", "/a"]).stdout(writer).stderr(Stdio::null()));
    // It has begun to write, and the pipe is far too small for the rest.
    reader.read_exact(&mut [0; 1]).unwrap();
    running.signal(Signal::TERM);
    assert_eq!(running.wait(), Some(143));
}

/// Rust opens `/dev/null` for a standard stream that is closed at the start, so no connection gets its number.
#[test]
fn closed_standard_streams_are_dev_null() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let peer = Peer::start(|_, _| data(Some(b"data")));
        let script = format!("exec {} --server {} get -s /a {closed}", env!("CARGO_BIN_EXE_zk"), peer.address);
        let got = finish(Command::new("sh").args(["-c", &script]));
        let expected: &[u8] = if closed.contains(">&-") && !closed.starts_with('2') { b"" } else { b"data" };
        assert_eq!((got.code, got.stdout.as_slice()), (Some(0), expected), "{closed}");
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let peer = Peer::start(|_, _| data(Some(b"data")));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut running = Running::start(zk(&peer.address, ["get", "/a"]).stdout(full).stderr(Stdio::piped()));
    let stderr = running.stderr();
    assert_eq!(running.wait(), Some(1));
    stderr.until("zk: cannot write to standard output: ");
}
