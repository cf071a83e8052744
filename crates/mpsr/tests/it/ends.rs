//! Ends other than a signal: a count of messages, one connection, a time without messages.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::{
    net::{Shutdown, shutdown},
    process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use crate::{
    listen::{Listen, directory, of_kind, unix},
    running::{Ended, Running, all, finish, mpsr},
};

/// Runs `listen` with these arguments until it ends by itself, while `produce` does what producers do.
fn run(arguments: &[&str], produce: impl FnOnce(&Path)) -> Ended {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut command = mpsr(["listen", &unix(&path)]);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut listen = Running::start(&mut command);
    let stdout = all(listen.child().stdout.take());
    let stderr = listen.stderr();
    assert_eq!(stderr.next(), Some(format!("listening on {}", unix(&path))));
    produce(&path);
    let code = listen.wait();
    assert!(!path.exists());
    Ended { code, stdout: stdout.join().unwrap(), stderr: stderr.rest().join("\n") }
}

#[test]
fn count_ends_it_after_so_many_messages() {
    let ended = run(&["--count", "3"], |path| {
        // More than asked for, in one piece, and from a producer that stays.
        let mut producer = UnixStream::connect(path).unwrap();
        producer.write_all(b"1\n2\n3\n4\n5\n").unwrap();
        // It is hung up on.
        let _ = producer.read(&mut [0]);
    });
    assert_eq!((ended.code, &ended.stdout[..]), (Some(0), &b"1\n2\n3\n"[..]), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("received 5 messages from 1 producer, delivered 3, truncated 0, lost 2"),
        "{}",
        ended.stderr
    );
}

#[test]
fn once_ends_it_after_one_connection_and_turns_the_others_away() {
    let ended = run(&["--once"], |path| {
        let [mut first, mut second] = [0; 2].map(|_| UnixStream::connect(path).unwrap());
        // It waits, with its message, before anything of the first was read.
        second.write_all(b"too late\n").unwrap();
        first.write_all(b"mine\n").unwrap();
        // Its end is a reset, because its message was not read.
        assert_eq!(second.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        // No other can come any more, while the first goes on.
        let began = Instant::now();
        while path.exists() {
            assert!(began.elapsed() < Duration::from_secs(20), "the name is still there");
            std::thread::yield_now();
        }
        first.write_all(b"and mine\n").unwrap();
    });
    assert_eq!((ended.code, &ended.stdout[..]), (Some(0), &b"mine\nand mine\n"[..]), "{}", ended.stderr);
    assert!(ended.stderr.contains("1 connection was closed unread: --once takes one"), "{}", ended.stderr);
    let report = "received 2 messages from 1 producer, delivered 2, truncated 0, lost 0, closed 1 connection unread";
    assert!(ended.stderr.contains(report), "{}", ended.stderr);
}

#[test]
fn once_is_not_used_up_by_a_connection_that_sends_nothing() {
    let ended = run(&["--once"], |path| {
        for _ in 0..3 {
            drop(UnixStream::connect(path).unwrap());
        }
        UnixStream::connect(path).unwrap().write_all(b"mine\n").unwrap();
    });
    assert_eq!((ended.code, &ended.stdout[..]), (Some(0), &b"mine\n"[..]), "{}", ended.stderr);
    let report = "received 1 message from 4 producers, delivered 1, truncated 0, lost 0 in";
    assert!(ended.stderr.contains(report), "{}", ended.stderr);
}

#[test]
fn once_fails_if_the_connection_ends_before_the_count_is_reached() {
    let ended = run(&["--once", "--count", "3"], |path| {
        UnixStream::connect(path).unwrap().write_all(b"1\n2\n").unwrap();
    });
    assert_eq!((ended.code, &ended.stdout[..]), (Some(1), &b"1\n2\n"[..]), "{}", ended.stderr);
    assert!(ended.stderr.contains("the connection has ended: 2 of 3"), "{}", ended.stderr);
}

/// A second descriptor of the socket on which this process listens, as a supervisor that passed it has.
fn listening_socket(listen: &Running, path: &Path) -> OwnedFd {
    let table = fs::read("/proc/net/unix").unwrap();
    let table = String::from_utf8_lossy(&table);
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let inodes: Vec<_> = lines
        .filter(|fields| fields.get(3) == Some(&"00010000") && fields.get(7) == path.to_str().as_ref())
        .map(|fields| format!("socket:[{}]", fields[6]))
        .collect();
    let descriptors = fs::read_dir(format!("/proc/{}/fd", listen.pid())).unwrap().map(|entry| entry.unwrap());
    let number = descriptors
        .filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.to_str() == Some(&inodes[0])))
        .map(|entry| entry.file_name().to_str().unwrap().parse().unwrap())
        .next()
        .expect("it listens");
    let process = pidfd_open(listen.as_pid(), PidfdFlags::empty()).unwrap();
    pidfd_getfd(process, number, PidfdGetfdFlags::empty()).unwrap()
}

#[test]
fn a_listener_that_breaks_ends_it_with_a_failure() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut command = mpsr(["listen", &unix(&path)]);
    let mut listen = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()));
    let stderr = listen.stderr();
    assert_eq!(stderr.next(), Some(format!("listening on {}", unix(&path))));
    shutdown(listening_socket(&listen, &path), Shutdown::Read).unwrap();
    assert_eq!(listen.wait(), Some(1));
    let [trouble, report, error] = &stderr.rest()[..] else { panic!("not three lines") };
    assert!(trouble.starts_with(&format!("mpsr: {}: could not accept", unix(&path))), "{trouble}");
    assert!(report.contains("lost 0, 1 source failed in"), "{report}");
    assert_eq!(error, "mpsr: every source of messages has failed");
}

#[test]
fn timeout_ends_it_once_no_message_has_come_for_that_long() {
    let began = Instant::now();
    let ended = run(&["--timeout", "300ms"], |path| {
        let mut producer = UnixStream::connect(path).unwrap();
        producer.write_all(b"a\n").unwrap();
        // The connection stays; it is messages that count.
        let _ = producer.read(&mut [0]);
    });
    assert_eq!((ended.code, &ended.stdout[..]), (Some(0), &b"a\n"[..]), "{}", ended.stderr);
    assert!(began.elapsed() >= Duration::from_millis(300));

    for (arguments, words) in [
        (&["--timeout", "100ms", "--count", "2"], "no message came for 100ms: 1 of 2"),
        (&["--timeout", "100ms", "--once"], "no message came for 100ms, and no connection has ended"),
    ] as [(&[&str], &str); 2]
    {
        let directory = directory();
        let path = directory.path().join("in.sock");
        let address = unix(&path);
        let mut listen = Listen::start([&address].into_iter().map(|s| s.as_str()).chain(arguments.iter().copied()));
        let mut producer = UnixStream::connect(&path).unwrap();
        producer.write_all(b"one\n").unwrap();
        listen.until("message");
        let (code, said) = listen.end_with_words();
        assert_eq!(code, Some(1));
        assert!(said.contains(words), "{said}");
        drop(producer);
    }
}

#[test]
fn prefix_and_timestamps_stand_in_front_of_each_message_in_a_pipe() {
    let ended = run(&["--once", "--prefix", "--timestamps"], |path| {
        UnixStream::connect(path).unwrap().write_all(b"a\nb: c\n").unwrap();
    });
    let out = String::from_utf8(ended.stdout).unwrap();
    let who = format!("#1 pid={} uid={}: ", std::process::id(), rustix::process::getuid().as_raw());
    let lines: Vec<&str> = out.lines().collect();
    for (line, message) in lines.iter().zip(["a", "b: c"]) {
        let (time, rest) = line.split_once(' ').unwrap();
        // Today, in UTC, as `date` has it.
        let today = finish(std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:"]), b"");
        assert!(time.starts_with(String::from_utf8(today.stdout).unwrap().trim()) && time.ends_with('Z'), "{line}");
        assert_eq!(rest, format!("{who}{message}"));
    }
    assert_eq!(lines.len(), 2);
}

#[test]
fn timestamps_are_fields_of_objects() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([&unix(&path), "--timestamps"]);
    UnixStream::connect(&path).unwrap().write_all(b"a\n").unwrap();
    listen.until("left");
    let times: Vec<&str> = listen.events.iter().map(|event| event["time"].as_str().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(of_kind(&listen.events, "message")[0]["text"], "a");
    listen.stop().assert_report(1, 1, 0);
}

#[test]
fn no_newline_leaves_the_bytes_as_they_were_sent() {
    let bytes = b"no newline\0at the end, \xff\n\nand then some".repeat(1000);
    for framing in ["raw", "until-eof"] {
        let ended = run(&["--once", "--no-newline", "--framing", framing], |path| {
            UnixStream::connect(path).unwrap().write_all(&bytes).unwrap();
        });
        assert_eq!(ended.code, Some(0));
        assert!(ended.stdout == bytes, "{framing}: {} bytes of {}", ended.stdout.len(), bytes.len());
    }
}
