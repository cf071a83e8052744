//! A child of the play: its events, its lines, its end. It is killed when this is dropped.

use std::{
    io::{BufRead as _, BufReader, Read},
    os::fd::OwnedFd,
    path::Path,
    process::{ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Pid, Signal, kill_process},
};
use serde_json::Value;

use crate::Outcome;

/// How long a scenario waits for one thing. A working command takes milliseconds.
const LIMIT: Duration = Duration::from_secs(15);

pub(super) struct Child {
    child: std::process::Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Child {
    pub(super) fn start(command: &mut Command, non_blocking_output: bool) -> Self {
        Self::spawn(command.stdin(Stdio::piped()), non_blocking_output)
    }

    /// With this as its standard input.
    pub(super) fn start_with(command: &mut Command, input: OwnedFd, non_blocking_output: bool) -> Self {
        Self::spawn(command.stdin(Stdio::from(input)), non_blocking_output)
    }

    fn spawn(command: &mut Command, non_blocking_output: bool) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        if non_blocking_output {
            let flags = fcntl_getfl(&writer).unwrap();
            fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
        }
        let spawned = command.stdout(writer).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // The command keeps a copy of the writing end, which would hide the child's end.
        command.stdout(Stdio::null());
        let input = child.stdin.take();
        let errors = lines(child.stderr.take().expect("it is piped"));
        Self { child, input, lines: lines(reader), errors }
    }

    pub(super) fn close_input(&mut self) {
        self.input = None;
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The next event for which this holds. A child that ends before is an outcome, and one that says nothing is another.
    pub(super) fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Value, Outcome> {
        match self.event_within(LIMIT, wanted)? {
            Some(event) => Ok(event),
            None => Err(Outcome::Differs(format!("nothing more was said; standard error: {}", self.said()))),
        }
    }

    /// The same; `None` when the time is over.
    pub(super) fn event_within(
        &mut self,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Option<Value>, Outcome> {
        let deadline = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match event(&line) {
                    Some(event) if wanted(&event) => return Ok(Some(event)),
                    _ => {}
                },
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            }
        }
    }

    /// The next line that begins so.
    pub(super) fn until_line(&self, start: &str) -> Result<String, Outcome> {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                // The test harness puts its own words in front of the first line.
                Ok(line) => {
                    if let Some(at) = line.find(start) {
                        return Ok(line[at..].to_owned());
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(Outcome::Differs(format!("a peer never says {start}"))),
                Err(RecvTimeoutError::Disconnected) => {
                    let said = self.said();
                    return Err(Outcome::Differs(format!("a peer ended without {start}: {said}")));
                }
            }
        }
    }

    /// Waits until this child has made the file.
    pub(super) fn until_there(&mut self, path: &Path) -> Result<(), Outcome> {
        let deadline = Instant::now() + LIMIT;
        while !path.exists() {
            if self.child.try_wait().unwrap().is_some() {
                return Err(self.ended());
            }
            if Instant::now() > deadline {
                return Err(Outcome::Differs(format!("{} never appears", path.display())));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Events that were printed and not asked for, up to the end of the child's output.
    pub(super) fn rest(&self) -> Vec<Value> {
        self.lines.iter().filter_map(|line| event(&line)).collect()
    }

    pub(super) fn wait_for_success(&mut self) -> Result<(), Outcome> {
        let status = self.wait()?;
        if status.success() { Ok(()) } else { Err(self.failure(status)) }
    }

    fn ended(&mut self) -> Outcome {
        match self.wait() {
            Ok(status) => self.failure(status),
            Err(outcome) => outcome,
        }
    }

    fn wait(&mut self) -> Result<ExitStatus, Outcome> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(Outcome::Differs(format!("it does not end; standard error: {}", self.said())));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn failure(&self, status: ExitStatus) -> Outcome {
        let text: Vec<String> = self.errors.iter().collect();
        match status.code() {
            Some(status) => Outcome::Fails { status, text: text.join("\n") },
            None => Outcome::Differs(format!("{status}: {}", text.join("\n"))),
        }
    }

    /// What standard error has said so far.
    fn said(&self) -> String {
        self.errors.try_iter().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The object in this line. In front of the first one may be what the test harness says before it starts a program.
fn event(line: &str) -> Option<Value> {
    serde_json::from_str(line.get(line.find('{')?..)?).ok()
}

fn lines(source: impl Read + Send + 'static) -> Receiver<String> {
    let (line_out, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
            if line_out.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    lines
}
