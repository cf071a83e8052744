//! `mpsr listen --json` under test: its events, and its end.

use std::{
    ffi::OsStr,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::{
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with},
    process::Signal,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::running::{Lines, Running, mpsr};

/// A receiver with its own directory; its socket, if it has one, is `in.sock` there.
#[derive(Debug)]
pub(crate) struct Listen {
    pub(crate) running: Running,
    pub(crate) events: Vec<Value>,
    stdout: Lines,
    stderr: Lines,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    /// Everything it printed, from its start.
    pub(crate) events: Vec<Value>,
    pub(crate) report: Value,
}

/// A directory for one test.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A socket that refuses: it is bound and does not listen.
pub(crate) fn bound(path: &Path) -> OwnedFd {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
    bind(&socket, &SocketAddrUnix::new(path).expect("a short path")).expect("the name is free");
    socket
}

/// `unix:PATH`
pub(crate) fn unix(path: impl Into<PathBuf>) -> String {
    format!("unix:{}", path.into().display())
}

impl Listen {
    /// Starts it and waits until it is there for others.
    pub(crate) fn start<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let mut command = mpsr(["listen", "--json"]);
        Self::start_as(command.args(arguments))
    }

    /// The same with a command that becomes it.
    pub(crate) fn start_as(command: &mut Command) -> Self {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let places: Vec<&str> = arguments.iter().flat_map(|argument| argument.split_whitespace()).collect();
        let count = |kind: &str| places.iter().filter(|argument| argument.starts_with(kind)).count();
        let (sockets, directories) = (count("unix:"), count("dir:"));
        let mut running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let (stdout, stderr) = (running.stdout(), running.stderr());
        let mut listen = Self { running, events: Vec::new(), stdout, stderr };
        listen.until_count("listening", sockets);
        listen.until_count("watching", directories);
        listen
    }

    /// The next event.
    pub(crate) fn next(&mut self) -> Value {
        let Some(line) = self.stdout.next() else {
            panic!("it ended after {:#?} with {:?}", self.events, self.stderr.rest())
        };
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.events.push(event.clone());
        event
    }

    /// The next event of this kind; the others are kept in `events`.
    pub(crate) fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next();
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Goes on until this many events of this kind have been seen since the start.
    pub(crate) fn until_count(&mut self, kind: &str, count: usize) {
        while of_kind(&self.events, kind).len() < count {
            self.next();
        }
    }

    /// The next line on standard error, as an object.
    pub(crate) fn said(&self) -> Value {
        let line = self.stderr.next().expect("something on standard error");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Asks it to end.
    pub(crate) fn stop(self) -> End {
        self.running.signal(Signal::TERM);
        self.end()
    }

    /// Waits for its end, and returns all that it said on standard error.
    pub(crate) fn end_with_words(mut self) -> (Option<i32>, String) {
        self.stdout.rest();
        (self.running.wait(), self.stderr.rest().join("\n"))
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> End {
        while let Some(line) = self.stdout.next() {
            self.events.push(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
        }
        let code = self.running.wait();
        let said = self.stderr.rest();
        let [report] = &said[..] else { panic!("not one report on standard error: {said:#?}") };
        let report = serde_json::from_str(report).unwrap_or_else(|error| panic!("{error}: {report}"));
        End { code, events: self.events, report }
    }
}

impl End {
    /// Exit 0 and a report in which every received message was delivered: this many producers and messages,
    /// and this many truncated messages.
    #[track_caller]
    pub(crate) fn assert_report(&self, producers: u64, messages: u64, truncated: u64) {
        let report =
            ["producers", "received", "delivered", "truncated", "lost"].map(|field| self.report[field].as_u64());
        assert_eq!(
            (self.code, report),
            (Some(0), [producers, messages, messages, truncated, 0].map(Some)),
            "{:#?}",
            self.report
        );
    }
}

/// The events of this kind.
pub(crate) fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

/// The texts that this producer's messages have, in order.
pub(crate) fn texts(events: &[Value], producer: &Value) -> Vec<String> {
    let messages = of_kind(events, "message").into_iter().filter(|message| message["producer"] == *producer);
    messages.map(|message| message["text"].as_str().expect("a text").to_owned()).collect()
}
