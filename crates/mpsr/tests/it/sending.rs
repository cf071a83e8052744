//! `mpsr send`: what it sends is what was given, and what was not sent is told.

use std::{
    io::{Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    process::Stdio,
    thread,
};

use rustix::process::Signal;

use crate::{
    listen::{Listen, bound, directory, of_kind, texts, unix},
    running::{Running, all, eventually, finish, has_room, is_asleep, listened_on, mpsr},
};

#[test]
fn arguments_and_lines_become_messages() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([unix(&path)]);
    let cases: &[(&[&str], &[u8], &[&str])] = &[
        (&["one", "two words", ""], b"", &["one", "two words", ""]),
        (&[], b"a\nb\n", &["a", "b"]),
        (&[], b"a\n\nno newline at the end", &["a", "", "no newline at the end"]),
        (&[], b"", &[]),
        (&["--", "-v"], b"", &["-v"]),
    ];
    for (arguments, input, messages) in cases {
        let sent = finish(mpsr(["send", &unix(&path)]).args(*arguments), input);
        assert_eq!((sent.code, sent.stderr.as_str(), sent.stdout.len()), (Some(0), "", 0), "{arguments:?}");
        let left = listen.until("left");
        assert_eq!(texts(&listen.events, &left["producer"]), *messages, "{arguments:?} {input:?}");
    }
    let sent = finish(&mut mpsr(["send", "--verbose", &unix(&path), "one", "three"]), b"");
    assert_eq!(sent.stderr, format!("sent 2 messages, 10 bytes with framing, to {}\n", unix(&path)));
    assert_eq!(listen.stop().code, Some(0));
}

/// A server needs a moment between `bind` and `listen`, and its name is there by then.
#[test]
fn a_receiver_that_has_just_made_its_name_is_sent_to() {
    for slow in [0, 5, 50] {
        let directory = directory();
        let path = directory.path().join("in.sock");
        let server = bound(&path);
        let mut sender = Running::start(mpsr(["send", &unix(&path), "one"]).stdin(Stdio::null()));
        // What a server may take that is preempted there.
        thread::sleep(std::time::Duration::from_millis(slow));
        rustix::net::listen(&server, 8).unwrap();
        let mut got = String::new();
        UnixListener::from(server).accept().unwrap().0.read_to_string(&mut got).unwrap();
        assert_eq!((got.as_str(), sender.wait()), ("one\n", Some(0)), "{slow} ms");
    }
}

#[test]
fn a_message_that_the_framing_cannot_carry_is_rejected() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([unix(&path)]);
    let sent = finish(&mut mpsr(["send", &unix(&path), "fine", "two\nlines", "never"]), b"");
    assert_eq!(sent.code, Some(1));
    assert!(sent.stderr.contains("message 2"), "{}", sent.stderr);
    let left = listen.until("left");
    assert_eq!(texts(&listen.events, &left["producer"]), ["fine"]);
    assert_eq!(listen.stop().code, Some(0));
}

#[test]
fn a_million_lines_come_out_as_they_went_in() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let lines: String =
        (1..=1_000_000).map(|n: u64| format!("{n} {:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    for framing in ["lines", "u32be"] {
        let mut listen = Running::start(
            mpsr(["listen", &unix(&path), "--framing", framing]).stdout(Stdio::piped()).stderr(Stdio::piped()),
        );
        let heard = all(listen.child().stdout.take());
        let stderr = listen.stderr();
        stderr.next();
        let sent = finish(&mut mpsr(["send", "-v", &unix(&path), "--framing", framing]), lines.as_bytes());
        assert_eq!(sent.code, Some(0), "{}", sent.stderr);
        listen.signal(Signal::TERM);
        assert_eq!(listen.wait(), Some(0));
        assert!(heard.join().unwrap() == lines.as_bytes(), "the bytes differ");
        let report = stderr.rest().pop().expect("a report");
        assert!(
            report.starts_with("received 1000000 messages from 1 producer, delivered 1000000, truncated 0, lost 0"),
            "{report}"
        );
    }
}

#[test]
fn what_a_receiver_that_dies_did_not_take_is_told() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let server = UnixListener::bind(&path).unwrap();
    let mut sender = Running::start(mpsr(["send", &unix(&path)]).stdin(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = sender.stdin();
    let pipe = stdin.as_fd().try_clone_to_owned().unwrap();
    // More than fits into the socket and the sender together.
    let feeding =
        thread::spawn(move || while stdin.write_all(&[b"x".repeat(999).as_slice(), b"\n"].concat()).is_ok() {});
    let (mut taken, _) = server.accept().unwrap();
    taken.read_exact(&mut [0; 100_500]).unwrap();
    eventually("no more is queued", || !has_room(&pipe) && is_asleep(sender.pid()));
    drop(taken);
    drop(pipe);
    assert_eq!(sender.wait(), Some(1));
    feeding.join().unwrap();
    let said = sender.stderr().rest();
    let [said] = &said[..] else { panic!("{said:?}") };
    assert!(said.starts_with(&format!("mpsr: {}: failed: ", unix(&path))), "{said}");
    let numbers: Vec<u64> = said.rsplit("; ").next().unwrap().split(' ').filter_map(|word| word.parse().ok()).collect();
    // At least those that were read, and not more than the kernel holds besides.
    assert!(numbers[0] >= 100 && numbers[0] < 2000, "{said}");
    assert!(numbers[1] > 0, "{said}");
}

#[test]
fn a_receiver_that_is_killed_ends_its_senders_with_1() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([unix(&path)]);
    let mut sender = Running::start(mpsr(["send", &unix(&path)]).stdin(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = sender.stdin();
    stdin.write_all(b"heard\n").unwrap();
    listen.until("message");
    listen.running.signal(Signal::KILL);
    listen.running.wait();
    // What it reads next cannot be sent, and it does not need to be told twice.
    let _ = stdin.write_all(b"unheard\n");
    assert_eq!(sender.wait(), Some(1));
    let said = sender.stderr().rest();
    assert!(said[0].contains("1 of them") || said[0].contains("1 message"), "{said:?}");
}

#[test]
fn an_interrupted_sender_says_so() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([unix(&path)]);
    let mut sender = Running::start(mpsr(["send", &unix(&path)]).stdin(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = sender.stdin();
    stdin.write_all(b"one\ntwo\n").unwrap();
    listen.until_count("message", 2);
    sender.signal(Signal::INT);
    assert_eq!(sender.wait(), Some(1));
    let said = sender.stderr().rest();
    assert_eq!(said, ["mpsr: interrupted after 2 messages"]);
    listen.until("left");
    listen.stop().assert_report(1, 2, 0);
}

#[test]
fn a_sender_that_binds_is_found_in_its_directory() {
    let directory = directory();
    let sockets = directory.path().join("sockets");
    std::fs::create_dir(&sockets).unwrap();
    // One is there before the receiver, the other comes later.
    let early = sockets.join("early.sock");
    let late = sockets.join("late.sock");
    let bound = |path| mpsr(["send", "--bind", &unix(path), "one", "two"]);
    let mut first = Running::start(&mut bound(&early));
    listened_on(&early);
    let mut listen = Listen::start([format!("dir:{}", sockets.display())]);
    listen.until("left");
    assert_eq!(first.wait(), Some(0));
    let mut second = Running::start(&mut bound(&late));
    listen.until("left");
    assert_eq!(second.wait(), Some(0));
    let joined = of_kind(&listen.events, "joined");
    for (joined, (path, process)) in joined.into_iter().zip([(&early, &first), (&late, &second)]) {
        assert_eq!([&joined["via"], &joined["address"]], ["dir", &unix(path)]);
        assert_eq!(joined["pid"], process.pid());
        assert_eq!(texts(&listen.events, &joined["producer"]), ["one", "two"]);
        assert!(!path.exists(), "it takes its name back");
    }
    listen.stop().assert_report(2, 4, 0);
}

#[test]
fn a_sender_that_binds_waits_as_long_as_it_was_told() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let sent = finish(&mut mpsr(["send", "--bind", &unix(&path), "--wait", "0.1", "a"]), b"");
    assert_eq!(sent.code, Some(1));
    assert!(sent.stderr.contains("no receiver connected") && sent.stderr.contains("0.1 s"), "{}", sent.stderr);
    assert!(!path.exists());
    // And without being told, until it is told to stop.
    let mut sender = Running::start(mpsr(["send", "--bind", &unix(&path), "a"]).stderr(Stdio::piped()));
    listened_on(&path);
    sender.signal(Signal::TERM);
    assert_eq!(sender.wait(), Some(1));
    assert!(!path.exists());
    // A receiver that only looks in and goes leaves with what was sent meanwhile.
    let mut sender = Running::start(&mut mpsr(["send", "--bind", &unix(&path), "for one"]));
    listened_on(&path);
    let mut receiver = UnixStream::connect(&path).unwrap();
    let mut heard = String::new();
    receiver.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "for one\n");
    drop(receiver);
    assert_eq!(sender.wait(), Some(0));
}
