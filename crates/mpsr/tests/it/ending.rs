//! Signals: the first takes in what was sent, the second does not wait.

use std::{
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::net::UnixStream,
    },
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::Signal,
};

use crate::{
    listen::{Listen, directory, of_kind, texts, unix},
    running::{Running, eventually, finish, listened_on, mpsr},
};

#[test]
fn a_signal_takes_in_all_that_was_sent_before_and_reports_on_standard_error() {
    let lines = |number: usize| -> Vec<String> { (0..1000).map(|line| format!("{number}/{line:0>95}")).collect() };
    for signal in [Signal::TERM, Signal::INT] {
        let directory = directory();
        let path = directory.path().join("in.sock");
        let began = Instant::now();
        let listen = Listen::start([unix(&path)]);
        // None has closed, and those who come while it stands still wait to be accepted when it hears the signal.
        let producers: Vec<UnixStream> = (0..20)
            .map(|number| {
                if number == 10 {
                    listen.running.signal(Signal::STOP);
                }
                let mut producer = UnixStream::connect(&path).unwrap();
                // In one piece, of which the kernel holds this much before anybody reads.
                producer.write_all((lines(number).join("\n") + "\n").as_bytes()).unwrap();
                producer
            })
            .collect();
        listen.running.signal(signal);
        listen.running.signal(Signal::CONT);
        let end = listen.end();
        end.assert_report(20, 20_000, 0);
        assert_eq!(end.report["event"], "report");
        assert_eq!(end.report["reason"], "signal");
        assert!((0.0..=began.elapsed().as_secs_f64()).contains(&end.report["seconds"].as_f64().expect("a number")));
        let left = of_kind(&end.events, "left");
        assert_eq!(left.len(), 20);
        for left in left {
            assert_eq!(left["reason"], "shutdown", "{left}");
            let heard = texts(&end.events, &left["producer"]);
            let (number, _) = heard[0].split_once('/').expect("number/line");
            assert_eq!(heard, lines(number.parse().unwrap()));
        }
        assert!(!path.exists());
        for mut producer in producers {
            assert_eq!(producer.read(&mut [0]).unwrap(), 0, "the end is told to them in an orderly way");
        }
    }
}

#[test]
fn a_message_that_was_not_finished_at_the_end_is_marked_or_truncated() {
    // Whether the connection ends or we do. A line may be whole although nothing terminates it; a length tells.
    for (framing, whole, half, delivered, unterminated) in [
        ("lines", &b"whole\n"[..], &b"half"[..], 2, true),
        ("lines", b"whole\n", b"", 1, false),
        ("lines-strict", b"whole\n", b"half", 1, false),
        ("nul", b"whole\0", b"half", 2, true),
        ("syslog", b"<13>whole\0", b"<13>half", 2, true),
        ("u32be", b"\0\0\0\x05whole", b"\0\0\0\x05half", 1, false),
    ] {
        for is_killed in [false, true] {
            let directory = directory();
            let path = directory.path().join("in.sock");
            let mut listen = Listen::start([&unix(&path), "--framing", framing]);
            let mut producer = UnixStream::connect(&path).unwrap();
            producer.write_all(&[whole, half].concat()).unwrap();
            if is_killed {
                drop(producer);
                listen.until("left");
            }
            let end = listen.stop();
            let truncated = u64::from(!half.is_empty() && !unterminated);
            end.assert_report(1, delivered, truncated);
            let left = of_kind(&end.events, "left")[0];
            assert_eq!([&left["truncated"], &left["delivered"]], [truncated, delivered], "{framing}: {left}");
            assert_eq!(left.get("unterminated"), unterminated.then_some(&true.into()), "{framing}: {left}");
            assert_eq!(end.report["unterminated"], u64::from(unterminated), "{framing}");
        }
    }
}

#[test]
fn a_producer_that_never_stops_is_let_go_of_at_the_deadline() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([&unix(&path), "--drain", "0.2"]);
    let mut flood = UnixStream::connect(&path).unwrap();
    let flooding = std::thread::spawn(move || while flood.write_all(b"more and more\n").is_ok() {});
    listen.until("message");
    let end = listen.stop();
    flooding.join().unwrap();
    assert_eq!(end.code, Some(0), "{:?}", end.report);
    assert_eq!(of_kind(&end.events, "left").len(), 1);
    assert_eq!(end.report["received"], end.report["delivered"]);
    assert_eq!(of_kind(&end.events, "message").len() as u64, end.report["delivered"]);
}

#[test]
fn a_second_signal_ends_it_with_1_although_nobody_reads_what_it_prints() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    // Standard error is not read either, as under `2>&1 | less`.
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = mpsr(["listen", &unix(&path)]);
    command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer.try_clone().unwrap());
    let mut listen = Running::start(&mut command);
    listened_on(&path);
    let mut flood = UnixStream::connect(&path).unwrap();
    let flood_socket = flood.try_clone().unwrap();
    let flooding = std::thread::spawn(move || while flood.write_all(&b"more and more\n".repeat(4096)).is_ok() {});
    let has_room = |fd: BorrowedFd<'_>| {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], Some(&now)).unwrap() == 1
    };
    eventually("the pipe is full, and so is the socket, of more than the pipe could still take", || {
        !has_room(writer.as_fd()) && !has_room(flood_socket.as_fd())
    });
    listen.signal(Signal::TERM);
    eventually("the signal is heard: the name is taken back", || !path.exists());
    let heard = Instant::now();
    // Those that come within half a second belong to the first.
    eventually("a second request ends it", || {
        listen.signal(Signal::TERM);
        listen.has_ended()
    });
    assert!(heard.elapsed() < Duration::from_secs(5), "the drain was waited for");
    assert_eq!(listen.wait(), Some(1));
    flooding.join().unwrap();
    drop(reader);
}

#[test]
fn it_ends_by_itself_when_nobody_reads_any_longer() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Running::start(mpsr(["listen", &unix(&path)]).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let stderr = listen.stderr();
    assert_eq!(stderr.next(), Some(format!("listening on {}", unix(&path))));
    let mut head = Running::start(
        std::process::Command::new("head")
            .arg("-n1")
            .stdin(listen.child().stdout.take().expect("it is piped"))
            .stdout(Stdio::piped()),
    );
    let mut producer = UnixStream::connect(&path).unwrap();
    producer.write_all(b"first\n").unwrap();
    assert_eq!(head.stdout().next().as_deref(), Some("first"));
    assert_eq!(head.wait(), Some(0));
    // Nothing more is sent, and the producer stays.
    assert_eq!(listen.wait(), Some(1));
    let said = stderr.rest();
    assert!(said.iter().any(|line| line.contains("standard output")), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("received 1 message")), "{said:?}");
    assert!(!path.exists());
    drop(producer);
}

#[test]
fn standard_output_that_is_full_is_told() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut listen = Running::start(mpsr(["listen", &unix(&path)]).stdout(full).stderr(Stdio::piped()));
    let stderr = listen.stderr();
    stderr.next();
    finish(&mut mpsr(["send", &unix(&path), "a"]), b"");
    assert_eq!(listen.wait(), Some(1));
    let said = stderr.rest();
    assert!(said.iter().any(|line| line.contains("cannot write to standard output")), "{said:?}");
    assert!(
        said.iter()
            .any(|line| line.contains("received 1 message") && line.contains("delivered 0, truncated 0, lost 1")),
        "{said:?}"
    );
}
