//! Which signals are requests to end, which belong together, and what the others do.

use std::{
    io::Write as _,
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{io::ioctl_fionread, process::Signal};
use serde_json::json;

use crate::{
    listen::{Listen, directory, of_kind, unix},
    running::{LIMIT, Running, eventually, listened_on, mpsr},
};

#[test]
fn signals_that_come_together_are_one_request_to_end() {
    // `timeout`, `tini -g` and a shell signal the process and its group; a terminal that closes adds SIGHUP.
    for signals in [[Signal::TERM, Signal::TERM], [Signal::INT, Signal::TERM], [Signal::HUP, Signal::INT]] {
        let directory = directory();
        let path = directory.path().join("in.sock");
        let mut listen = Listen::start([&unix(&path), "--drain", "0.3s"]);
        // It has still something to take in when it hears the second.
        let mut flood = UnixStream::connect(&path).unwrap();
        let flooding = std::thread::spawn(move || while flood.write_all(b"more and more\n").is_ok() {});
        listen.until("message");
        for signal in signals {
            listen.running.signal(signal);
        }
        let end = listen.end();
        flooding.join().unwrap();
        assert_eq!((end.code, &end.report["reason"]), (Some(0), &json!("signal")), "{signals:?}: {:?}", end.report);
        assert_eq!(end.report["received"], end.report["delivered"]);
    }
}

/// The kernel merges two signals of a kind of which none was handled yet; these are two.
#[test]
fn a_signal_that_comes_a_moment_later_belongs_to_the_same_request() {
    for second in [Signal::TERM, Signal::HUP] {
        let directory = directory();
        let path = directory.path().join("in.sock");
        let mut command = mpsr(["listen", &unix(&path), "--drain", "1s"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut listen = Running::start(&mut command);
        let stderr = listen.stderr();
        listened_on(&path);
        let mut flood = UnixStream::connect(&path).unwrap();
        let flooding = std::thread::spawn(move || while flood.write_all(&b"more and more\n".repeat(100)).is_ok() {});
        // What it prints is not read, so that it cannot end before the time of --drain is over.
        let unread = listen.child().stdout.take().unwrap();
        eventually("the pipe is full", || ioctl_fionread(&unread).unwrap() >= 60 << 10);
        listen.signal(Signal::TERM);
        std::thread::sleep(Duration::from_millis(250));
        assert!(!listen.has_ended(), "it has still something to take in");
        listen.signal(second);
        let said = stderr.rest().join("\n");
        assert_eq!(listen.wait(), Some(1), "{second:?}: {said}");
        assert!(said.contains("received ") && !said.contains("second signal"), "{second:?}: {said}");
        flooding.join().unwrap();
    }
}

#[test]
fn a_hang_up_ends_it_with_its_report() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([unix(&path)]);
    let mut producer = UnixStream::connect(&path).unwrap();
    producer.write_all(b"heard\n").unwrap();
    listen.until("message");
    listen.running.signal(Signal::HUP);
    listen.end().assert_report(1, 1, 0);
    assert!(!path.exists());
}

#[test]
fn a_hang_up_that_was_ignored_at_the_start_stays_ignored() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let script = format!("trap '' HUP; exec {} listen --json {}", env!("CARGO_BIN_EXE_mpsr"), unix(&path));
    let mut listen = Listen::start_as(Command::new("sh").args(["-c", &script]));
    listen.running.signal(Signal::HUP);
    // A signal that would end it is handled before anything that comes after it.
    let mut producer = UnixStream::connect(&path).unwrap();
    producer.write_all(b"still here\n").unwrap();
    assert_eq!(listen.until("message")["text"], "still here");
    assert!(path.exists());
    drop(producer);
    listen.until("left");
    listen.stop().assert_report(1, 1, 0);
}

#[test]
fn sigusr1_prints_the_report_so_far() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([unix(&path)]);
    let mut producer = UnixStream::connect(&path).unwrap();
    producer.write_all(b"one\nthree\nhalf").unwrap();
    listen.until_count("message", 2);
    // A message is read here a moment before the write that brought it has been counted there.
    let started = Instant::now();
    let report = loop {
        listen.running.signal(Signal::USR1);
        let report = listen.said();
        if report["delivered"] == 2 || started.elapsed() > LIMIT {
            break report;
        }
    };
    let numbers = ["event", "producers", "received", "delivered", "lost", "bytes"].map(|field| report[field].clone());
    assert_eq!(numbers, [json!("report-so-far"), json!(1), json!(2), json!(2), json!(0), json!(8)], "{report}");
    producer.write_all(b" a line\n").unwrap();
    drop(producer);
    listen.until("left");
    assert_eq!(of_kind(&listen.events, "message").len(), 3);
    listen.stop().assert_report(1, 3, 0);

    // Without anything to report about, it is as harmless.
    let mut listen = Listen::start_as(mpsr(["listen", "--json"]).arg(unix(&path)));
    listen.running.signal(Signal::USR1);
    assert_eq!(listen.said()["received"], 0);
    assert!(!listen.running.has_ended());
    listen.stop().assert_report(0, 0, 0);
}
