//! `mpsr send --reconnect`: a receiver that is restarted gets the rest, and nothing twice.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    process::Stdio,
    thread,
};

use rustix::{io::ioctl_fionread, process::Signal};

use crate::{
    listen::{Listen, directory, unix},
    running::{Running, eventually, mpsr},
};

fn send(address: &str, options: &[&str]) -> Running {
    let mut command = mpsr(["send", "--reconnect", address]);
    Running::start(command.args(options).stdin(Stdio::piped()).stderr(Stdio::piped()))
}

#[test]
fn a_receiver_that_is_restarted_between_messages_gets_each_of_them_once() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let mut listen = Listen::start([unix(&path)]);
    let mut sender = send(&unix(&path), &["-v"]);
    let mut stdin = sender.stdin();
    for round in 0..3 {
        for line in 0..3 {
            writeln!(stdin, "{round}.{line}").unwrap();
            assert_eq!(listen.until("message")["text"], format!("{round}.{line}"));
        }
        let end = listen.stop();
        end.assert_report(1, 3, 0);
        if round == 1 {
            // Written while there is no receiver.
            writeln!(stdin, "meanwhile").unwrap();
        }
        listen = Listen::start([unix(&path)]);
        if round == 1 {
            assert_eq!(listen.until("message")["text"], "meanwhile");
            let end = listen.stop();
            end.assert_report(1, 1, 0);
            listen = Listen::start([unix(&path)]);
        }
        listen.until("joined");
    }
    drop(stdin);
    assert_eq!(sender.wait(), Some(0));
    let said = sender.stderr().rest();
    assert!(said.last().unwrap().starts_with("sent 10 messages,"), "{said:?}");
    assert!(said[0].contains("hung up") && said[0].contains("connecting again"), "{said:?}");
    assert_eq!(listen.stop().code, Some(0));
}

/// Frames with four bytes of length in front, and how many bytes of an incomplete one are behind them.
fn frames(mut bytes: &[u8]) -> (Vec<u64>, usize) {
    let mut numbers = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<4>()
        && let Some((payload, rest)) = rest.split_at_checked(u32::from_be_bytes(*head) as usize)
    {
        let text = std::str::from_utf8(payload).unwrap();
        numbers.push(text.trim_start_matches('0').parse().unwrap_or(0));
        bytes = rest;
    }
    (numbers, bytes.len())
}

/// Takes what the kernel has of a sender that has more than it holds, lets nothing more come, and closes with nothing unread.
fn stop_in_order(mut receiver: UnixStream) -> Vec<u8> {
    let (mut before, mut same) = (0, 0);
    eventually("the sender cannot go on", || {
        let now = ioctl_fionread(&receiver).unwrap();
        same = if now == before && now > 100_000 { same + 1 } else { 0 };
        before = now;
        same > 20
    });
    receiver.shutdown(Shutdown::Read).unwrap();
    let mut heard = Vec::new();
    receiver.read_to_end(&mut heard).unwrap();
    heard
}

#[test]
fn a_truncated_frame_is_sent_again_if_no_receiver_can_have_taken_it() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let server = UnixListener::bind(&path).unwrap();
    let mut sender = send(&unix(&path), &["--framing", "u32be"]);
    let mut stdin = sender.stdin();
    let count = 12;
    // Each is more than the kernel holds at a time.
    let input: String = (1..=count).map(|number: u64| format!("{}{number:02}\n", "0".repeat(299_998))).collect();
    let feeding = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let (first, _) = server.accept().unwrap();
    let heard = stop_in_order(first);
    let (mut second, _) = server.accept().unwrap();
    let mut rest = Vec::new();
    second.read_to_end(&mut rest).unwrap();
    drop(second);
    feeding.join().unwrap().unwrap();
    assert_eq!(sender.wait(), Some(0), "{:?}", sender.stderr().rest());
    let ((mut numbers, truncated), (further, none)) = (frames(&heard), frames(&rest));
    assert!(truncated > 0 && none == 0, "{truncated} bytes of a frame, then {none}");
    numbers.extend(further);
    assert_eq!(numbers, (1..=count).collect::<Vec<u64>>());
}

#[test]
fn a_truncated_line_may_have_been_taken_and_is_reported_instead_of_sent_again() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let server = UnixListener::bind(&path).unwrap();
    let mut sender = send(&unix(&path), &[]);
    let mut stdin = sender.stdin();
    let count = 12;
    let input: String = (1..=count).map(|number: u64| format!("{}{number:02}\n", "0".repeat(299_998))).collect();
    let feeding = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let (first, _) = server.accept().unwrap();
    let heard = stop_in_order(first);
    let (mut second, _) = server.accept().unwrap();
    let mut rest = String::new();
    second.read_to_string(&mut rest).unwrap();
    drop(second);
    feeding.join().unwrap().unwrap();
    assert_eq!(sender.wait(), Some(1));
    let said = sender.stderr().rest();
    assert!(said.last().unwrap().contains("1 message was truncated"), "{said:?}");
    let whole = heard.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert_ne!(heard.last(), Some(&b'\n'), "the last line there is truncated");
    let further: Vec<u64> = rest.lines().map(|line| line.trim_start_matches('0').parse().unwrap()).collect();
    assert_eq!(further, (whole + 2..=count).collect::<Vec<u64>>(), "all after the truncated one");
}

#[test]
fn what_a_killed_receiver_had_not_read_makes_the_end_a_failure() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let server = UnixListener::bind(&path).unwrap();
    let mut sender = send(&unix(&path), &[]);
    let mut stdin = sender.stdin();
    stdin.write_all(b"read\nunread\n").unwrap();
    let (mut first, _) = server.accept().unwrap();
    eventually("both are in the kernel", || ioctl_fionread(&first).unwrap() == 12);
    first.read_exact(&mut [0; 5]).unwrap();
    // With something unread in it, as the kernel closes the socket of a process that is killed.
    drop(first);
    let (mut second, _) = server.accept().unwrap();
    stdin.write_all(b"after\n").unwrap();
    drop(stdin);
    let mut rest = String::new();
    second.read_to_string(&mut rest).unwrap();
    drop(second);
    // It may have been executed, so it is not sent again; that it may not have been is told.
    assert_eq!(rest, "after\n");
    assert_eq!(sender.wait(), Some(1));
    let said = sender.stderr().rest();
    assert!(said.last().unwrap().contains("closed before everything on it was read"), "{said:?}");
}

#[test]
fn waiting_for_a_receiver_that_does_not_come_back_has_the_limit_that_was_set_and_ends_by_a_signal() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    for (options, signal) in [(&["--wait", "100ms"][..], None), (&[], Some(Signal::TERM))] {
        let server = UnixListener::bind(&path).unwrap();
        let mut sender = send(&unix(&path), options);
        let stderr = sender.stderr();
        let mut stdin = sender.stdin();
        stdin.write_all(b"one\n").unwrap();
        let (mut taken, _) = server.accept().unwrap();
        taken.read_exact(&mut [0; 4]).unwrap();
        std::fs::remove_file(&path).unwrap();
        drop((taken, server));
        let said = stderr.next().unwrap();
        assert!(said.contains("connecting again"), "{said}");
        if let Some(signal) = signal {
            sender.signal(signal);
        }
        assert_eq!(sender.wait(), Some(1));
        let said = stderr.rest();
        let words = if signal.is_some() { "interrupted after 1 message" } else { "there is no" };
        assert!(said.len() == 1 && said[0].contains(words), "{said:?}");
        drop(stdin);
    }
}
