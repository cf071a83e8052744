//! Real processes that are killed: producers, and the receiver.
//!
//! The processes are this test program, in the roles of its ignored tests. What was delivered is taken from what the receiver
//! wrote out, not from its report. `FUNNEL_SEED` replays a run.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use mpsr_server::{Event, Funnel};
use uds_actor::Bind;

use crate::{
    framings::{self, named},
    rig::LONG,
};

/// Pseudo-random numbers (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    /// From `FUNNEL_SEED`, or else the clock. A failing test shows what it printed.
    fn new() -> Self {
        let seed = std::env::var("FUNNEL_SEED").ok().map(|seed| seed.parse().unwrap());
        let clock = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
        let seed = seed.unwrap_or_else(clock);
        println!("FUNNEL_SEED={seed}");
        Self(seed)
    }
}

/// A process in a role; killed when dropped.
struct Role(Child);

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("kills::{name}"), "--ignored", "--nocapture", "--quiet"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Sends numbered messages until it is killed.
fn producer(path: &Path, framing: &str, number: u64) -> Role {
    let mut command = role("play_a_producer");
    command.env("FUNNEL_PATH", path).env("FUNNEL_FRAMING", framing).env("FUNNEL_NUMBER", number.to_string());
    Role(command.stdout(Stdio::null()).spawn().unwrap())
}

/// A funnel that writes out what it delivers, and each producer's end.
struct Receiver {
    role: Role,
    lines: BufReader<ChildStdout>,
    /// For each producer: what it delivered, in order.
    messages: BTreeMap<u64, Vec<String>>,
    left: BTreeMap<u64, String>,
}

impl Receiver {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut receiver = Self { role: Role(child), lines, messages: BTreeMap::new(), left: BTreeMap::new() };
        while receiver.line().expect("it listens") != "listening" {}
        receiver
    }

    fn bound(path: &Path, framing: &str) -> Self {
        let mut command = role("play_the_receiver");
        command.env("FUNNEL_PATH", path).env("FUNNEL_FRAMING", framing);
        Self::start(command)
    }

    /// As a service manager starts one: with two listening sockets of one name, as descriptors 3 and 4.
    fn activated(sockets: [UnixListener; 2], framing: &str) -> Self {
        let plain = role("play_the_receiver");
        // The shell keeps its pid when it becomes the program, which is what LISTEN_PID must say.
        let script = "exec 3<&0 4<&2 </dev/null 2>&1; LISTEN_PID=$$; export LISTEN_PID; exec \"$0\" \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(plain.get_program()).args(plain.get_args());
        command.env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", "in:in").env("FUNNEL_FRAMING", framing);
        let [first, second] = sockets.map(OwnedFd::from);
        command.stdin(first).stderr(second).stdout(Stdio::piped());
        Self::start(command)
    }

    /// The next line that it wrote out whole.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        Some(line.strip_suffix('\n')?.to_owned())
    }

    /// Reads its output until so many messages have arrived in total, or it ends.
    fn read_until(&mut self, messages: usize) {
        while self.messages.values().map(Vec::len).sum::<usize>() < messages {
            let Some(line) = self.line() else { return };
            match line.split_once(' ').unwrap_or_default() {
                ("message", rest) => {
                    let (producer, text) = rest.split_once(' ').unwrap();
                    self.messages.entry(producer.parse().unwrap()).or_default().push(text.to_owned());
                }
                ("left", rest) => {
                    let (producer, how) = rest.split_once(' ').unwrap();
                    self.left.insert(producer.parse().unwrap(), how.to_owned());
                }
                _ => {}
            }
        }
    }

    fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.role.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.read_until(usize::MAX);
        assert!(self.role.0.wait().unwrap().success());
    }

    /// Law: each producer's messages are the first of those it sent, in order, once. The last may be part of one, where the
    /// framing delivers that, and then it is marked.
    fn check(&self, framing: &str) {
        for (producer, texts) in &self.messages {
            let sender = texts[0].split('-').next().unwrap();
            let is_marked = self.left.get(producer).is_some_and(|left| left.contains("unterminated: true"));
            for (number, text) in texts.iter().enumerate() {
                let whole = message(sender, number as u64);
                let is_last = number + 1 == texts.len();
                if *text != whole {
                    assert!(is_last && whole.starts_with(text.as_str()), "{framing}: {text:?} instead of {whole:?}");
                    assert!(is_marked, "{framing}: {text:?} passes for a whole message");
                }
            }
        }
    }
}

fn message(sender: &str, number: u64) -> String {
    format!("{sender}-{number}-{}", "x".repeat((number % 97) as usize))
}

/// How a framing can be written into a pipe of lines.
fn in_kills() -> [&'static str; 5] {
    ["lines", "lines-strict", "u32be", "syslog", "netstring"]
}

#[test]
fn producers_that_are_killed_lose_nothing_that_they_had_written_whole() {
    let mut dice = Dice::new();
    let dir = tempfile::tempdir().unwrap();
    for (round, framing) in in_kills().into_iter().cycle().take(10).enumerate() {
        let path = dir.path().join(format!("{round}.sock"));
        let mut receiver = Receiver::bound(&path, framing);
        let producers: Vec<_> = (0..3).map(|number| producer(&path, framing, number)).collect();
        let mut messages = 0;
        for producer in producers {
            messages += 1 + dice.roll(3000) as usize;
            receiver.read_until(messages);
            drop(producer);
        }
        receiver.stop();
        receiver.check(framing);
        assert!(receiver.left.len() <= 3 && receiver.left.keys().all(|id| *id <= 3), "{:?}", receiver.left);
        for (producer, left) in &receiver.left {
            let delivered = receiver.messages.get(producer).map_or(0, Vec::len);
            assert!(left.starts_with(&format!("received {delivered} delivered {delivered} lost 0 ")), "{left}");
        }
        assert!(!path.exists(), "the name is withdrawn");
    }
}

#[test]
fn a_receiver_that_is_killed_has_written_out_the_beginning_and_the_next_takes_its_place() {
    let mut dice = Dice::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    for framing in in_kills().into_iter().cycle().take(10) {
        // The stale socket of the one before is in the way.
        let mut receiver = Receiver::bound(&path, framing);
        let producers: Vec<_> = (0..3).map(|number| producer(&path, framing, number)).collect();
        receiver.read_until(1 + dice.roll(5000) as usize);
        receiver.role.0.kill().unwrap();
        receiver.read_until(usize::MAX);
        receiver.check(framing);
        drop(producers);
        assert!(path.exists(), "a killed process leaves its name behind");
    }
}

#[test]
fn every_framing_arrives_through_passed_sockets_although_two_have_one_name() {
    let dir = tempfile::tempdir().unwrap();
    for choice in framings::all().into_iter().filter(|choice| choice.keeps_messages() && !choice.is_one_message()) {
        let paths = ["first", "second"].map(|name| dir.path().join(format!("{}.{name}", choice.name)));
        let sockets = paths.each_ref().map(|path| UnixListener::bind(path).unwrap());
        let mut receiver = Receiver::activated(sockets, choice.name);
        let texts: Vec<_> = (0..5).map(|number| format!("<{number}> text")).collect();
        let payloads: Vec<_> = texts.iter().map(|text| text.clone().into_bytes()).collect();
        let wire = frame_codec::testing::encode(&choice.framing, &payloads).unwrap();
        for path in &paths {
            std::os::unix::net::UnixStream::connect(path).unwrap().write_all(&wire).unwrap();
        }
        receiver.read_until(2 * texts.len());
        receiver.stop();
        let messages = std::mem::take(&mut receiver.messages);
        assert_eq!(messages.into_values().collect::<Vec<_>>(), [texts.clone(), texts], "{}", choice.name);
        assert!(paths.iter().all(|path| path.exists()), "a passed socket keeps its name");
    }
}

#[test]
#[ignore = "a role, played in a process of its own"]
fn play_a_producer() {
    let [path, framing, number] =
        ["FUNNEL_PATH", "FUNNEL_FRAMING", "FUNNEL_NUMBER"].map(|name| std::env::var(name).unwrap());
    let framing = named(&framing).framing;
    let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
    for block in 0.. {
        let payloads: Vec<_> = (block * 50..(block + 1) * 50)
            .map(|message_number| message(&number, message_number).into_bytes())
            .collect();
        let wire = frame_codec::testing::encode(&framing, &payloads).unwrap();
        if stream.write_all(&wire).is_err() {
            return;
        }
    }
}

#[tokio::test]
#[ignore = "a role, played in a process of its own"]
async fn play_the_receiver() {
    let framing = named(&std::env::var("FUNNEL_FRAMING").unwrap()).framing;
    let bind = std::env::var("FUNNEL_PATH").map_or_else(|_| Bind::systemd("in"), Bind::path);
    let mut funnel = Funnel::builder(framing).listen(bind).start().await.unwrap();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening").unwrap();
    let handle = funnel.handle();
    tokio::spawn(async move {
        terminate.recv().await;
        handle.shutdown(LONG);
    });
    while let Some(event) = funnel.next().await {
        match event {
            Event::Delivery(delivery) => {
                let mut text = Vec::new();
                for message in &delivery {
                    write!(text, "message {} ", delivery.producer().id).unwrap();
                    text.extend(message);
                    text.push(b'\n');
                }
                out.write_all(&text).unwrap();
            }
            Event::Left(left) => {
                let [received, delivered, lost] = [left.received.frames, left.delivered.frames, left.lost.frames];
                let (id, unterminated) = (left.producer.id, left.unterminated);
                writeln!(
                    out,
                    "left {id} received {received} delivered {delivered} lost {lost} unterminated: {unterminated}"
                )
                .unwrap();
            }
            _ => {}
        }
    }
}
