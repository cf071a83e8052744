//! A child process that cannot outlive its test, nor outlast its patience.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read, Write as _},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take. Nothing here takes more than a few seconds on an idle machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The program under test, with this server.
pub(crate) fn zk<S: AsRef<OsStr>>(server: &str, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zk"));
    command.args(["--server", server]).args(arguments).env_remove("ZK_SERVER");
    command
}

/// A child that is killed and reaped when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    what: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let what = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        Self { child, what }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What it writes to standard output, line by line.
    pub(crate) fn stdout(&mut self) -> Lines {
        Lines::of(self.child.stdout.take().expect("standard output is piped and not taken"))
    }

    /// What it writes to standard error, line by line.
    pub(crate) fn stderr(&mut self) -> Lines {
        Lines::of(self.child.stderr.take().expect("standard error is piped and not taken"))
    }

    /// Its exit code; `None` if a signal ended it.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let (sender, ended) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| sender.send(self.child.wait()));
            let status = ended.recv_timeout(LIMIT);
            status.unwrap_or_else(|_| panic!("{} did not end within {LIMIT:?}", self.what)).unwrap().code()
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, and been reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines, read by a thread so that waiting has a limit.
#[derive(Debug)]
pub(crate) struct Lines(Receiver<String>);

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (line, lines) = mpsc::channel();
        thread::spawn(move || {
            for text in BufReader::new(pipe).lines().map_while(Result::ok) {
                if line.send(text).is_err() {
                    break;
                }
            }
        });
        Self(lines)
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&self) -> Option<String> {
        match self.0.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing more was printed within {LIMIT:?}"),
        }
    }

    /// Waits for a line that contains these words.
    pub(crate) fn until(&self, words: &str) -> String {
        loop {
            let line = self.next().unwrap_or_else(|| panic!("it ended without a line with {words:?}"));
            if line.contains(words) {
                return line;
            }
        }
    }
}

/// What a process that has ended leaves behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    /// Standard output of a command that must have succeeded.
    pub(crate) fn text(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        String::from_utf8(self.stdout).unwrap()
    }

    /// The only object of a command that must have succeeded.
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.text()).unwrap()
    }
}

/// Runs the command to its end.
pub(crate) fn finish(command: &mut Command) -> Ended {
    finish_with(command, b"")
}

/// Runs the command to its end with this standard input.
pub(crate) fn finish_with(command: &mut Command, input: &[u8]) -> Ended {
    let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = running.child.stdin.take().unwrap();
    let (stdout, stderr) = (all(running.child.stdout.take()), all(running.child.stderr.take()));
    // A process that ends before it has read everything is not this thread's concern.
    let _ = stdin.write_all(input);
    drop(stdin);
    let code = running.wait();
    let stderr = String::from_utf8(stderr.join().unwrap()).expect("what it says is text");
    Ended { code, stdout: stdout.join().unwrap(), stderr }
}

/// Reads to the end.
fn all(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    let mut pipe = pipe.expect("it is piped and not taken");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}
