//! A child process that cannot outlive its test, nor outlast its patience.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read, Write as _},
    os::fd::AsFd,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

/// How long anything may take. Nothing here takes a second on an idle machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The program under test.
pub(crate) fn mpsr<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mpsr"));
    command.args(arguments);
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

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn as_pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("standard input is piped and not taken")
    }

    pub(crate) fn stdout(&mut self) -> Lines {
        Lines::of(self.child.stdout.take().expect("standard output is piped and not taken"))
    }

    pub(crate) fn stderr(&mut self) -> Lines {
        Lines::of(self.child.stderr.take().expect("standard error is piped and not taken"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.as_pid(), signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.what));
    }

    /// Whether it has ended; never waits.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_some()
    }

    /// Its exit code; `None` if a signal ended it.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        if let Some(status) = self.child.try_wait().expect("a child can be asked") {
            return status.code();
        }
        let pidfd = pidfd_open(self.as_pid(), PidfdFlags::empty()).expect("a child that was not reaped has a pidfd");
        let limit = Timespec::try_from(LIMIT).expect("the limit is short");
        let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)).expect("a pidfd can be polled");
        assert_eq!(ended, 1, "{} did not end within {LIMIT:?}", self.what);
        self.child.wait().expect("it has ended").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, and been reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process writes, line by line, read by a thread so that waiting has a limit.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: mpsc::Receiver<String>,
}

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
        Self { lines }
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&self) -> Option<String> {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing more was printed within {LIMIT:?}"),
        }
    }

    /// All that is left.
    pub(crate) fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// What a process that has ended leaves behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Runs the command to its end with this standard input.
pub(crate) fn finish(command: &mut Command, input: &[u8]) -> Ended {
    let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = running.stdin();
    let input = input.to_vec();
    // A process that ends before it has read everything is not this thread's concern.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let stdout = all(running.child.stdout.take());
    let stderr = all(running.child.stderr.take());
    let code = running.wait();
    writer.join().expect("writing does not panic");
    let stdout = stdout.join().expect("reading does not panic");
    let stderr = String::from_utf8(stderr.join().expect("reading does not panic")).expect("mpsr speaks UTF-8");
    Ended { code, stdout, stderr }
}

/// Reads to the end.
pub(crate) fn all(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    let mut pipe = pipe.expect("it is piped and not taken");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        bytes
    })
}

/// Waits until a process listens on the socket at this absolute path, without connecting to it. The name alone says less: it
/// is there as soon as the socket is bound.
pub(crate) fn listened_on(path: &Path) {
    eventually("it listens", || is_listened_on(path));
}

/// Whether a process listens there, by `/proc/net/unix`: `__SO_ACCEPTCON` among the flags in the fourth column.
pub(crate) fn is_listened_on(path: &Path) -> bool {
    let table = std::fs::read("/proc/net/unix").expect("the kernel has its table of sockets");
    // Other processes' names need not be UTF-8.
    let table = String::from_utf8_lossy(&table);
    let path = path.to_str().expect("temporary directories have plain names");
    let mut sockets = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    sockets.any(|fields| fields.get(3) == Some(&"00010000") && fields.get(7) == Some(&path))
}

/// Whether something can be written to this pipe at once.
pub(crate) fn has_room(fd: impl AsFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&fd, PollFlags::OUT)], Some(&now)).expect("a pipe can be polled") == 1
}

/// Whether no thread of this process has something to do (`proc_pid_stat(5)`).
pub(crate) fn is_asleep(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let state = |thread: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
    };
    threads.map(state).all(|state| state == Some('S'))
}

/// Waits for a state of the system that is not announced.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
