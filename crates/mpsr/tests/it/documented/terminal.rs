//! A shell in a separate directory, where `/tmp` and `/run` are.

use std::{
    env, fs,
    os::unix::{fs::DirBuilderExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// Longer than anything takes here.
const LIMIT: Duration = Duration::from_secs(60);
/// How often it is asked whether something has come about.
const TICK: Duration = Duration::from_millis(20);

/// Lines that run until they are told to stop begin with one of these.
const UNTIL_STOPPED: &[&str] = &["mpsr listen", "mpsr watch", "tail -f"];

#[derive(Debug)]
pub(crate) struct Terminal {
    home: TempDir,
    running: Vec<Line>,
}

/// A command line with its own process group.
#[derive(Debug)]
struct Line {
    text: String,
    child: Child,
    log: std::path::PathBuf,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        for path in ["tmp", "run/app/sockets", "bin", "here"] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(home.path().join(path)).unwrap();
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mpsr"), home.path().join("bin/mpsr")).unwrap();
        fs::write(home.path().join("here/access.log"), "GET /\n").unwrap();
        Self { home, running: Vec::new() }
    }

    /// Runs a script to its end, which has to be a good one.
    pub(crate) fn script(&self, place: &str, script: &str) {
        let mut line = self.start(script);
        line.expect_success(place);
        // What it left in the background.
        line.signal(Signal::KILL);
    }

    /// Runs one line to its end, or until it says something if it only ends when it is told to.
    pub(crate) fn line(&mut self, place: &str, text: &str) {
        let mut line = self.start(text);
        if !UNTIL_STOPPED.iter().any(|start| text.starts_with(start)) {
            line.expect_success(place);
            return;
        }
        let begun = Instant::now();
        // `tail -f ... | mpsr send` says nothing; it has to be connected, and then to stay.
        let is_silent = !text.starts_with("mpsr");
        while line.output().is_empty() && !(is_silent && begun.elapsed() > Duration::from_secs(1)) {
            assert!(begun.elapsed() < LIMIT, "{place}: `{text}` says nothing");
            assert!(line.child.try_wait().unwrap().is_none(), "{place}: `{text}` ended: {}", line.output());
            thread::sleep(TICK);
        }
        self.running.push(line);
    }

    /// Tells what is still running to stop, the last first; what is ours has to end well.
    pub(crate) fn stop(&mut self, place: &str) {
        for mut line in self.running.drain(..).rev() {
            assert!(line.child.try_wait().unwrap().is_none(), "{place}: `{}` ended: {}", line.text, line.output());
            line.signal(Signal::INT);
            if line.text.starts_with("mpsr") {
                line.expect_success(place);
            }
        }
    }

    fn start(&self, text: &str) -> Line {
        let home = self.home.path();
        let moved = ["/tmp/", "/run/"]
            .iter()
            .fold(text.to_owned(), |text, root| text.replace(root, &format!("{}{root}", home.display())));
        let log = home.join(format!("log-{}", self.running.len()));
        let file = fs::File::create(&log).unwrap();
        let path = format!("{}:{}", home.join("bin").display(), env::var("PATH").unwrap_or_default());
        let child = Command::new("bash")
            .args(["-e", "-o", "pipefail", "-c", &moved])
            .current_dir(home.join("here"))
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap();
        Line { text: text.to_owned(), child, log }
    }
}

impl Line {
    fn expect_success(&mut self, place: &str) {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if begun.elapsed() > LIMIT => {
                    self.signal(Signal::KILL);
                    panic!("{place}: still running: {}\n{}", self.text, self.output());
                }
                None => thread::sleep(TICK),
            }
        };
        assert!(status.success(), "{place}: {status}: {}\n{}", self.text, self.output());
    }

    fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(Path::new(&self.log)).unwrap_or_default()).into_owned()
    }

    fn signal(&self, signal: Signal) {
        // It may have ended.
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}
