//! Too many, too slow, too much: memory is bounded, and no producer pays for another.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    thread,
};

use rustix::process::Signal;

use crate::{
    listen::{Listen, directory, of_kind, texts, unix},
    running::{LIMIT, Running},
};

/// Time on a processor that this process has used, in hundredths of a second (`proc_pid_stat(5)`).
fn processor_time(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
    fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

/// A receiver under `ulimit` with these arguments.
fn listen_with_limit(ulimit: &str, address: &str) -> Listen {
    let script = format!("ulimit {ulimit}; exec {} listen --json {address}", env!("CARGO_BIN_EXE_mpsr"));
    Listen::start_as(Command::new("sh").args(["-c", &script]))
}

/// Twenty descriptors, of which the receiver itself needs about fifteen.
const FEW: &str = "-n 20";

#[test]
fn with_few_descriptors_nobody_is_lost_who_comes_and_goes() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = listen_with_limit(FEW, &unix(&path));
    let clients: Vec<_> = (0..40)
        .map(|client| {
            let path = path.clone();
            thread::spawn(move || {
                let mut stream = UnixStream::connect(path).unwrap();
                for line in 0..10 {
                    writeln!(stream, "{client}/{line}").unwrap();
                }
                stream.shutdown(Shutdown::Write).unwrap();
                // Until it is heard to the end.
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    listen.until_count("left", 40);
    for left in of_kind(&listen.events, "left") {
        assert_eq!(texts(&listen.events, &left["producer"]).len(), 10);
    }
    let end = listen.stop();
    end.assert_report(40, 400, 0);
    assert_eq!(end.report["shed"], 0);
}

#[test]
fn with_few_descriptors_those_who_stay_keep_nobody_waiting_for_ever_and_the_processor_idle() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = listen_with_limit(FEW, &unix(&path));
    let mut clients: Vec<_> = (0..40)
        .map(|client| {
            let mut stream = UnixStream::connect(&path).unwrap();
            writeln!(stream, "{client}").unwrap();
            stream
        })
        .collect();
    listen.until("message");
    // All that can be had are had, and stay; the rest wait. Waiting is what is measured.
    let pid = listen.running.pid();
    let before = processor_time(pid);
    thread::sleep(std::time::Duration::from_secs(4));
    let used = processor_time(pid) - before;
    assert!(used < 40, "{used} hundredths of a second in four seconds of waiting");
    // As some go, others come, and what they sent is there.
    clients.reverse();
    while let Some(client) = clients.pop() {
        drop(client);
    }
    listen.until_count("left", 40);
    let end = listen.stop();
    end.assert_report(40, 40, 0);
    assert_eq!(end.report["shed"], 0);
}

#[test]
fn with_few_descriptors_those_who_still_wait_at_the_end_are_heard() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let listen = listen_with_limit(FEW, &unix(&path));
    let clients: Vec<_> = (0..40)
        .map(|client| {
            let mut stream = UnixStream::connect(&path).unwrap();
            writeln!(stream, "{client}").unwrap();
            stream
        })
        .collect();
    let end = listen.stop();
    end.assert_report(40, 40, 0);
    assert_eq!(end.report["shed"], 0);
    drop(clients);
}

#[test]
fn those_for_whom_there_is_no_time_at_the_end_are_counted_and_told_and_make_it_a_failure() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let script = format!("ulimit {FEW}; exec {} listen --drain 0 {}", env!("CARGO_BIN_EXE_mpsr"), unix(&path));
    let mut command = Command::new("sh");
    command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut listen = Running::start(&mut command);
    let stderr = listen.stderr();
    assert_eq!(stderr.next(), Some(format!("listening on {}", unix(&path))));
    // The first few have all the slots there are, and stay. No time is left for hundreds of others.
    let clients: Vec<_> = (0..300)
        .map(|client| {
            let mut stream = UnixStream::connect(&path).unwrap();
            writeln!(stream, "{client}").unwrap();
            stream
        })
        .collect();
    while !stderr.next().expect("it runs").contains(" + ") {}
    listen.signal(Signal::TERM);
    assert_eq!(listen.wait(), Some(1));
    let said = stderr.rest();
    // What a client that was heard sent is not taken back; the others are reset.
    let (heard, reset): (Vec<_>, Vec<_>) =
        clients.into_iter().partition(|mut client| client.read(&mut [0]).is_ok_and(|length| length == 0));
    assert!(!heard.is_empty() && reset.len() > 1, "{} and {}", heard.len(), reset.len());
    let number = reset.len();
    let told = format!("mpsr: {}: {number} connections were closed unread: they were waiting when", unix(&path));
    assert!(said.iter().any(|line| line.starts_with(&told)), "{told}: {said:?}");
    let s = if heard.len() == 1 { "" } else { "s" };
    let report = format!(
        "received {0} message{s} from {0} producer{s}, delivered {0}, truncated 0, lost 0, closed",
        heard.len()
    );
    assert!(said.iter().any(|line| line.starts_with(&format!("{report} {number} connections unread"))), "{said:?}");
    assert_eq!(said.last(), Some(&format!("mpsr: {number} connections were closed unread")));
}

#[test]
fn a_limit_that_may_be_raised_is_raised() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = listen_with_limit("-Sn 20", &unix(&path));
    let clients: Vec<_> = (0..40).map(|_| UnixStream::connect(&path).unwrap()).collect();
    listen.until_count("joined", clients.len());
    listen.stop().assert_report(40, 0, 0);
}

#[test]
fn a_producer_that_stalls_in_the_middle_of_a_message_holds_up_nobody() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([&unix(&path), "--framing", "u32be"]);
    let mut stalled = UnixStream::connect(&path).unwrap();
    stalled.write_all(b"\0\0\0\x05st").unwrap();
    listen.until("joined");
    let others: Vec<_> = (0..50)
        .map(|_| {
            let path = path.clone();
            thread::spawn(move || {
                let mut stream = UnixStream::connect(path).unwrap();
                for _ in 0..20 {
                    stream.write_all(b"\0\0\0\x05hello").unwrap();
                }
            })
        })
        .collect();
    for other in others {
        other.join().unwrap();
    }
    listen.until_count("left", 50);
    assert_eq!(of_kind(&listen.events, "message").len(), 1000);
    stalled.write_all(b"all").unwrap();
    drop(stalled);
    let left = listen.until("left");
    assert_eq!(texts(&listen.events, &left["producer"]), ["stall"]);
    listen.stop().assert_report(51, 1001, 0);
}
