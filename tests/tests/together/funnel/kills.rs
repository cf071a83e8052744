//! Real processes that are killed: producers, and the receiver.
//!
//! The processes are this test program, in the roles of its ignored tests. What was sent is taken from what each producer said
//! that it had written, and what was delivered from what the receiver wrote out, not from its report. `FUNNEL_SEED` replays a
//! run.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use mpsr_server::{Event, Funnel};
use uds_actor::Bind;

use crate::funnel::{
    framings::{self, Choice, named},
    rig::LONG,
};

/// The bytes after which a producer pauses if its framing has one message: the message must stay within the limit.
const ONE_MESSAGE: usize = 200_000;

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
    command.args(["--exact", &format!("funnel::kills::{name}"), "--ignored", "--nocapture", "--quiet"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// A process that sends numbered messages until it is killed.
struct Producer {
    role: Role,
    lines: BufReader<ChildStdout>,
    /// How many messages it has written whole, by what it said after each write.
    written: u64,
}

impl Producer {
    fn start(source: Source, path: &Path, framing: &str, number: u64) -> Self {
        let mut command = role("play_a_producer");
        command.env("FUNNEL_FRAMING", framing).env("FUNNEL_NUMBER", number.to_string());
        command.env(source.variable(), path);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { role: Role(child), lines, written: 0 }
    }

    /// Reads what it says until it has written this many, or it ends. A line that the kill truncated does not count: the
    /// messages of that block are written, but nothing says so.
    fn read_until(&mut self, written: u64) {
        let mut line = String::new();
        while self.written < written && self.lines.read_line(&mut line).unwrap() > 0 {
            if let Some(number) = line.strip_prefix("written ").and_then(|number| number.strip_suffix('\n')) {
                self.written = number.parse().unwrap();
            }
            line.clear();
        }
    }

    /// How many messages it had written when it was killed, at the least.
    fn kill(mut self) -> u64 {
        self.role.0.kill().unwrap();
        self.read_until(u64::MAX);
        self.written
    }
}

/// How the processes find each other.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// Producers connect to the funnel's socket.
    Path,
    /// The same, by an abstract name.
    Abstract,
    /// The funnel connects to the sockets that producers bind in a directory.
    Directory,
}

impl Source {
    /// Tells a role where.
    fn variable(self) -> &'static str {
        match self {
            Self::Path => "FUNNEL_PATH",
            Self::Abstract => "FUNNEL_ABSTRACT",
            Self::Directory => "FUNNEL_DIRECTORY",
        }
    }

    fn place(self, directory: &Path) -> PathBuf {
        match self {
            // A name that no other test has.
            Self::Path | Self::Abstract => directory.join("in.sock"),
            Self::Directory => directory.to_owned(),
        }
    }
}

/// A funnel that writes out what it delivers, and each producer's end.
pub(crate) struct Receiver {
    role: Role,
    lines: BufReader<ChildStdout>,
    /// For each producer: what it delivered, in order.
    pub(crate) messages: BTreeMap<u64, Vec<String>>,
    pub(crate) left: BTreeMap<u64, String>,
}

impl Receiver {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut receiver = Self { role: Role(child), lines, messages: BTreeMap::new(), left: BTreeMap::new() };
        while receiver.line().expect("it listens") != "listening" {}
        receiver
    }

    fn at(source: Source, path: &Path, framing: &str) -> Self {
        let mut command = role("play_the_receiver");
        command.env(source.variable(), path).env("FUNNEL_FRAMING", framing);
        Self::start(command)
    }

    /// As a service manager starts one: with two listening sockets of one name, as descriptors 3 and 4.
    pub(crate) fn activated(sockets: [UnixListener; 2], framing: &str) -> Self {
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

    /// Reads its output until it has told this, or it ends.
    pub(crate) fn read_until(&mut self, is_told: impl Fn(&Self) -> bool) {
        while !is_told(self) {
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

    fn read_to_the_end(&mut self) {
        self.read_until(|_| false);
    }

    fn count(&self) -> usize {
        self.messages.values().map(Vec::len).sum()
    }

    pub(crate) fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.role.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.read_to_the_end();
        assert!(self.role.0.wait().unwrap().success());
    }

    /// Law: each producer's messages are the first of those it sent, in order, once. The last may be part of one, where the
    /// framing delivers that, and then it is marked. Gives how many whole messages of each sender were delivered.
    fn check(&self, choice: &Choice) -> BTreeMap<String, u64> {
        let mut delivered = BTreeMap::new();
        for (producer, texts) in &self.messages {
            let sender = texts[0].split('-').next().unwrap();
            let is_marked = self.left.get(producer).is_some_and(|left| left.contains("unterminated: true"));
            let whole = if is_divided_anew(choice) {
                whole_in_bytes(choice, sender, &texts.concat())
            } else {
                whole_messages(choice, sender, texts, is_marked)
            };
            assert_eq!(delivered.insert(sender.to_owned(), whole), None, "{}: {sender} joined twice", choice.name);
        }
        delivered
    }

    /// The same of a receiver that ended in order, after its producers: it has delivered all that each had written.
    fn check_all(&self, choice: &Choice, written: &BTreeMap<String, u64>) {
        let delivered = self.check(choice);
        for (sender, written) in written {
            let delivered = delivered.get(sender).copied().unwrap_or(0);
            assert!(delivered >= *written, "{}: of {written} that {sender} wrote, {delivered}", choice.name);
        }
        assert!(written.values().sum::<u64>() > 0, "{}: a producer has written", choice.name);
    }

    /// Kills it, once it has written out so much, and checks what it has written out.
    fn kill(mut self, choice: &Choice, has_enough: impl Fn(&Self) -> bool) -> BTreeMap<String, u64> {
        self.read_until(&has_enough);
        assert!(has_enough(&self), "{}: it ended by itself", choice.name);
        self.role.0.kill().unwrap();
        self.read_to_the_end();
        self.check(choice)
    }
}

/// Whether what one write had as many messages arrives in other pieces, or in one.
fn is_divided_anew(choice: &Choice) -> bool {
    !choice.keeps_messages() || choice.is_one_message()
}

fn whole_messages(choice: &Choice, sender: &str, texts: &[String], is_marked: bool) -> u64 {
    for (number, text) in texts.iter().enumerate() {
        let whole = message(choice, sender, number as u64);
        if *text != whole {
            let is_last = number + 1 == texts.len();
            // The kill may have left part of what ends a message.
            let wire = frame_codec::testing::encode(&choice.framing, &[whole.clone().into_bytes()]).unwrap();
            let is_part = whole.starts_with(text.as_str()) || wire.starts_with(text.as_bytes());
            assert!(is_last && is_part, "{}: {text:?} instead of {whole:?}", choice.name);
            assert!(is_marked, "{}: {text:?} passes for a whole message", choice.name);
            return number as u64;
        }
    }
    texts.len() as u64
}

/// Where the framing does not keep what a producer wrote apart.
fn whole_in_bytes(choice: &Choice, sender: &str, mut rest: &str) -> u64 {
    for number in 0.. {
        let whole = message(choice, sender, number);
        let Some(behind) = rest.strip_prefix(&whole) else {
            assert!(whole.starts_with(rest), "{}: {rest:?} instead of {whole:?}", choice.name);
            return number;
        };
        rest = behind;
    }
    unreachable!("the bytes end");
}

/// Each sender's messages have different lengths and contents, where the framing permits.
fn message(choice: &Choice, sender: &str, number: u64) -> String {
    if choice.name == "fixed" {
        return format!("{sender}-{:06}", number % 1_000_000);
    }
    format!("{sender}-{number}-{}", "x".repeat((number % 97) as usize))
}

/// Three producers that are killed one after the other, each at some moment while it writes.
fn producers_are_killed(source: Source, choices: &[Choice]) {
    let mut dice = Dice::new();
    for choice in choices {
        let framing = choice.name;
        let dir = tempfile::tempdir().unwrap();
        let place = source.place(dir.path());
        let mut receiver = Receiver::at(source, &place, framing);
        let start = |number| Producer::start(source, &place, framing, number);
        let mut producers: Vec<_> = (0..3).map(start).collect();
        if choice.is_one_message() {
            // Nothing is delivered before its end, and then a line that is longer than a pipe holds.
            producers.iter_mut().for_each(|producer| producer.read_until(1 + dice.roll(3000)));
        }
        let mut messages = 0;
        let mut written = BTreeMap::new();
        for (number, producer) in producers.into_iter().enumerate() {
            if !choice.is_one_message() {
                messages += 1 + dice.roll(if choice.keeps_messages() { 3000 } else { 3 }) as usize;
                receiver.read_until(|receiver| receiver.count() >= messages);
            }
            written.insert(number.to_string(), producer.kill());
        }
        receiver.stop();
        receiver.check_all(choice, &written);
        assert!(receiver.left.len() <= 3 && receiver.left.keys().all(|id| *id <= 3), "{:?}", receiver.left);
        for (producer, left) in &receiver.left {
            let delivered = receiver.messages.get(producer).map_or(0, Vec::len);
            assert!(left.starts_with(&format!("received {delivered} delivered {delivered} lost 0 ")), "{left}");
        }
        if let Source::Path = source {
            assert!(!place.exists(), "the name is withdrawn");
        }
    }
}

#[test]
fn producers_that_are_killed_lose_nothing_that_they_had_written_whole() {
    producers_are_killed(Source::Path, &framings::all());
}

#[test]
fn producers_that_are_killed_in_a_directory_lose_nothing_that_they_had_written_whole() {
    producers_are_killed(Source::Directory, &framings::all());
}

#[test]
fn producers_of_an_abstract_name_that_are_killed_lose_nothing_that_they_had_written_whole() {
    producers_are_killed(Source::Abstract, &["lines", "lines-strict", "u32be", "raw", "until-eof"].map(named));
}

/// Kills the producers while the receiver may still have much to read. How much each had written, at the least.
fn kill_all(producers: Vec<Producer>) -> BTreeMap<String, u64> {
    producers.into_iter().enumerate().map(|(number, producer)| (number.to_string(), producer.kill())).collect()
}

#[test]
fn a_receiver_that_is_killed_has_written_out_the_beginning_and_the_next_takes_its_place() {
    receivers_are_killed(Source::Path, &framings::all());
}

#[test]
fn a_receiver_with_an_abstract_name_that_is_killed_has_written_out_the_beginning_and_the_next_takes_its_place() {
    receivers_are_killed(Source::Abstract, &["lines", "u32be", "raw"].map(named));
}

fn receivers_are_killed(source: Source, choices: &[Choice]) {
    let mut dice = Dice::new();
    let dir = tempfile::tempdir().unwrap();
    let path = source.place(dir.path());
    for choice in choices.iter().filter(|choice| !choice.is_one_message()) {
        let mut start = || {
            let receiver = Receiver::at(source, &path, choice.name);
            let producers: Vec<_> = (0..3).map(|number| Producer::start(source, &path, choice.name, number)).collect();
            (receiver, producers, 1 + dice.roll(if is_divided_anew(choice) { 5 } else { 5000 }) as usize)
        };
        let (receiver, producers, messages) = start();
        receiver.kill(choice, |receiver| receiver.count() >= messages);
        drop(producers);
        // The kernel takes an abstract name back.
        assert_eq!(path.exists(), matches!(source, Source::Path), "a killed process leaves the name of a file behind");
        // The stale socket is in the way of the next one, which ends in order and so delivers everything.
        let (mut receiver, producers, messages) = start();
        receiver.read_until(|receiver| receiver.count() >= messages);
        let written = kill_all(producers);
        receiver.stop();
        receiver.check_all(choice, &written);
        assert!(!path.exists(), "the name is withdrawn");
    }
}

/// The producers keep their sockets, and each begins again with the next receiver.
#[test]
fn a_receiver_of_a_directory_that_is_killed_has_written_out_the_beginning_and_the_next_takes_its_place() {
    let mut dice = Dice::new();
    for name in ["lines", "u32be", "raw"] {
        let dir = tempfile::tempdir().unwrap();
        let choice = named(name);
        let producers: Vec<_> =
            (0..3).map(|number| Producer::start(Source::Directory, dir.path(), name, number)).collect();
        let mut start = || {
            let messages = 1 + dice.roll(if is_divided_anew(&choice) { 5 } else { 2000 }) as usize;
            let receiver = Receiver::at(Source::Directory, dir.path(), name);
            (receiver, move |receiver: &Receiver| receiver.messages.len() == 3 && receiver.count() >= messages)
        };
        for _ in 0..3 {
            let (receiver, has_enough) = start();
            let delivered = receiver.kill(&choice, has_enough);
            assert_eq!(delivered.keys().collect::<Vec<_>>(), ["0", "1", "2"], "{name}: each receiver has all of them");
        }
        // The last one ends in order, and so delivers everything that was written since it came.
        let (mut receiver, has_enough) = start();
        receiver.read_until(has_enough);
        let written = kill_all(producers);
        receiver.stop();
        receiver.check_all(&choice, &written);
    }
}

#[test]
#[ignore = "a role, played in a process of its own"]
fn play_a_producer() {
    let [framing, number] = ["FUNNEL_FRAMING", "FUNNEL_NUMBER"].map(|name| std::env::var(name).unwrap());
    let choice = named(&framing);
    if let Ok(path) = std::env::var("FUNNEL_PATH") {
        write_numbered(UnixStream::connect(path).unwrap(), &choice, &number);
        return;
    }
    if let Ok(name) = std::env::var("FUNNEL_ABSTRACT") {
        let address = SocketAddr::from_abstract_name(name).unwrap();
        write_numbered(UnixStream::connect_addr(&address).unwrap(), &choice, &number);
        return;
    }
    let directory = PathBuf::from(std::env::var("FUNNEL_DIRECTORY").unwrap());
    let listener = UnixListener::bind(directory.join(format!("{number}.sock"))).unwrap();
    for stream in listener.incoming() {
        write_numbered(stream.unwrap(), &choice, &number);
    }
}

/// Writes messages until the receiver is gone, and says after each block how many there are.
fn write_numbered(mut stream: UnixStream, choice: &Choice, sender: &str) {
    let mut out = std::io::stdout().lock();
    // It begins again with each receiver.
    out.write_all(b"written 0\n").unwrap();
    let mut bytes = 0;
    for block in 0.. {
        let payloads = (block * 50..(block + 1) * 50).map(|number| message(choice, sender, number).into_bytes());
        let wire = if choice.is_one_message() {
            payloads.collect::<Vec<_>>().concat()
        } else {
            frame_codec::testing::encode(&choice.framing, &payloads.collect::<Vec<_>>()).unwrap()
        };
        if stream.write_all(&wire).is_err() {
            return;
        }
        // In one write, so that no part of a number passes for a number.
        out.write_all(format!("written {}\n", (block + 1) * 50).as_bytes()).unwrap();
        bytes += wire.len();
        while choice.is_one_message() && bytes > ONE_MESSAGE {
            std::thread::park();
        }
    }
}

#[tokio::test]
#[ignore = "a role, played in a process of its own"]
async fn play_the_receiver() {
    let framing = named(&std::env::var("FUNNEL_FRAMING").unwrap()).framing;
    let builder = Funnel::builder(framing);
    let place = |name: &str| std::env::var(name).ok();
    let builder = match (place("FUNNEL_PATH"), place("FUNNEL_ABSTRACT"), place("FUNNEL_DIRECTORY")) {
        (Some(path), ..) => builder.listen(Bind::path(path)),
        (_, Some(name), _) => builder.listen(Bind::abstract_name(name)),
        (.., Some(directory)) => builder.directory(directory),
        _ => builder.listen(Bind::systemd("in")),
    };
    let mut funnel = builder.start().await.unwrap();
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
