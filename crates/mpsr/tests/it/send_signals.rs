//! `mpsr send` and signals: which belong together, what they leave unsent, and what they do not end.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{ChildStdin, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    listen::{Listen, directory, unix},
    running::{Lines, Running, eventually, has_room, is_asleep, mpsr},
};

/// A sender that has queued all it can, because the receiver has read nothing yet, and has more input.
struct Queued {
    sender: Running,
    stderr: Lines,
    receiver: UnixStream,
    feeding: thread::JoinHandle<()>,
    /// How many lines it has queued.
    lines: usize,
    _directory: tempfile::TempDir,
}

impl Queued {
    fn new() -> Self {
        let directory = directory();
        let path = directory.path().join("x.sock");
        let server = UnixListener::bind(&path).unwrap();
        let mut sender = Running::start(mpsr(["send", &unix(&path)]).stdin(Stdio::piped()).stderr(Stdio::piped()));
        let (receiver, _) = server.accept().unwrap();
        let (mut stdin, stderr) = (sender.stdin(), sender.stderr());
        let pipe = stdin.as_fd().try_clone_to_owned().unwrap();
        let feeding = thread::spawn(move || {
            let mut line = 0_u32..;
            while writeln!(stdin, "{:01023}", line.next().unwrap()).is_ok() {}
        });
        let (mut lines, mut before) = (0, None);
        eventually("no more is queued, and the pipe behind it is full", || {
            sender.signal(Signal::USR1);
            let said = stderr.next().expect("it runs");
            let number = said.strip_prefix("so far: queued ").and_then(|rest| rest.split_once(" message"));
            lines = number.and_then(|(number, _)| number.parse().ok()).unwrap_or_else(|| panic!("{said}"));
            // One that is only slow is not asleep.
            before.replace(lines) == Some(lines) && !has_room(&pipe) && is_asleep(sender.pid())
        });
        Self { sender, stderr, receiver, feeding, lines, _directory: directory }
    }

    /// How many lines the receiver gets in order, and what the sender says when it has ended with 1.
    fn end(mut self) -> (usize, String) {
        let mut bytes = Vec::new();
        self.receiver.read_to_end(&mut bytes).unwrap();
        drop(self.receiver);
        let lines = bytes.chunks_exact(1024).enumerate();
        let whole =
            lines.take_while(|(line, bytes)| bytes.trim_ascii_end() == format!("{line:01023}").as_bytes()).count();
        assert_eq!(self.sender.wait(), Some(1));
        self.feeding.join().unwrap();
        let mut said = self.stderr.rest();
        said.retain(|line| !line.starts_with("so far: "));
        (whole, said.join("\n"))
    }
}

#[test]
fn signals_that_come_together_are_one_request_and_what_was_queued_is_sent() {
    for signals in [
        &[Signal::TERM, Signal::TERM][..],
        &[Signal::INT, Signal::TERM],
        &[Signal::HUP, Signal::INT],
        &[Signal::TERM, Signal::HUP, Signal::INT],
        &[Signal::HUP],
    ] {
        let queued = Queued::new();
        for signal in signals {
            queued.sender.signal(*signal);
        }
        if let [Signal::TERM, Signal::TERM] = signals {
            // The kernel merges two that come at once. This one comes when the first has been handled.
            thread::sleep(Duration::from_millis(250));
            queued.sender.signal(Signal::TERM);
        }
        // Reading begins when it has answered what comes after them.
        queued.sender.signal(Signal::USR1);
        queued.stderr.next().unwrap();
        let all = queued.lines;
        assert_eq!(queued.end(), (all, format!("mpsr: interrupted after {all} messages")), "{signals:?}");
    }
}

#[test]
fn a_second_request_does_not_wait_for_the_receiver() {
    let mut queued = Queued::new();
    eventually("a second request ends it", || {
        queued.sender.signal(Signal::TERM);
        queued.sender.has_ended()
    });
    let all = queued.lines;
    let (lines, said) = queued.end();
    assert!((1..all).contains(&lines), "{lines} of {all}");
    assert_eq!(said, format!("mpsr: interrupted after {lines} messages"));
}

#[test]
fn a_hang_up_that_was_ignored_at_the_start_stays_ignored() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([unix(&path)]);
    let script = format!("trap '' HUP; exec {} send {}", env!("CARGO_BIN_EXE_mpsr"), unix(&path));
    let mut command = Command::new("sh");
    let mut sender = Running::start(command.args(["-c", &script]).stdin(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = sender.stdin();
    writeln!(stdin, "before").unwrap();
    listen.until("message");
    sender.signal(Signal::HUP);
    writeln!(stdin, "behind").unwrap();
    assert_eq!(listen.until("message")["text"], "behind");
    drop(stdin);
    assert_eq!(sender.wait(), Some(0), "{:?}", sender.stderr().rest());
    listen.until("left");
    listen.stop().assert_report(1, 2, 0);
}

/// A receiver that counts, as `listen --count 1` does, may be gone before the sender learns that its input has ended.
#[test]
fn a_receiver_that_has_read_the_whole_input_may_hang_up_first() {
    for round in 0..10 {
        let directory = directory();
        let path = directory.path().join("x.sock");
        let server = UnixListener::bind(&path).unwrap();
        let mut sender = Running::start(mpsr(["send", &unix(&path)]).stdin(Stdio::piped()).stderr(Stdio::piped()));
        let (mut stdin, stderr) = (sender.stdin(), sender.stderr());
        let (mut receiver, _) = server.accept().unwrap();
        stdin.write_all(b"heard\n").unwrap();
        receiver.read_exact(&mut [0; 6]).unwrap();
        // Both have happened when it goes on.
        sender.signal(Signal::STOP);
        drop(receiver);
        drop(stdin);
        sender.signal(Signal::CONT);
        assert_eq!(sender.wait(), Some(0), "{round}: {:?}", stderr.rest());
    }
}

/// Kills a real receiver that has read what was sent so far.
fn kill_under(path: &Path, sent: &str) -> (Running, ChildStdin) {
    let mut listen = Running::start(
        mpsr(["listen", "--quiet", &unix(path)]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()),
    );
    crate::running::listened_on(path);
    let mut sender = Running::start(mpsr(["send", &unix(path)]).stdin(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = sender.stdin();
    let mut printed = BufReader::new(listen.child().stdout.take().unwrap());
    if sent.is_empty() {
        // It has connected, and nothing else happens.
        eventually("it is connected", || connections(path) == 1);
    } else {
        stdin.write_all(sent.as_bytes()).unwrap();
        let mut line = String::new();
        printed.read_line(&mut line).unwrap();
        assert_eq!(line, sent);
    }
    listen.signal(Signal::KILL);
    assert_eq!(listen.wait(), None);
    (sender, stdin)
}

/// Sockets with this name that are connected (`/proc/net/unix`).
fn connections(path: &Path) -> usize {
    let table = std::fs::read("/proc/net/unix").unwrap();
    let table = String::from_utf8_lossy(&table);
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|fields| fields.get(5) == Some(&"03") && fields.get(7) == path.to_str().as_ref()).count()
}

#[test]
fn the_crash_of_a_receiver_is_told_at_once_though_the_input_is_silent() {
    // A receiver that ends before it has taken anything looks like one that does not admit the sender.
    for (sent, words) in [
        ("", ["the receiver hung up before anything was sent (perhaps", "); 0 messages were sent, 0 were not"]),
        ("heard\n", ["the receiver hung up before everything was sent", "; 1 message was sent, 0 were not"]),
    ] {
        let directory = directory();
        let path = directory.path().join("in.sock");
        let (mut sender, stdin) = kill_under(&path, sent);
        // Nothing is written, and standard input does not end: only the end of the connection can end it.
        assert_eq!(sender.wait(), Some(1));
        let said = sender.stderr().rest().join("\n");
        assert!(words.iter().all(|words| said.contains(words)), "{said}");
        drop(stdin);
    }
    // In the middle of a flood, too: it ends, and does not call it success if something was not read.
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Running::start(
        mpsr(["listen", "--quiet", &unix(&path)]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()),
    );
    crate::running::listened_on(&path);
    let mut sender = Running::start(mpsr(["send", &unix(&path)]).stdin(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = sender.stdin();
    let flood = thread::spawn(move || while stdin.write_all(&b"more and more\n".repeat(1000)).is_ok() {});
    let mut printed = [0];
    listen.child().stdout.take().unwrap().read_exact(&mut printed).unwrap();
    listen.signal(Signal::KILL);
    assert_eq!(sender.wait(), Some(1));
    flood.join().unwrap();
    let said = sender.stderr().rest().join("\n");
    assert!(said.contains("nor was the rest of standard input"), "{said}");
}
