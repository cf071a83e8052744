//! Processes of the running test program that play a role, threads that give up root, and an end to what hangs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "children talk to their parents in lines")]

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::{Gid, Uid};

/// The uid and gid of an unprivileged user.
pub const NOBODY: u32 = 65_534;

/// Aborts the process unless dropped within a minute.
#[derive(Debug)]
pub struct Watchdog(#[expect(dead_code, reason = "dropping it is its use")] mpsc::Sender<()>);

impl Watchdog {
    /// Starts counting for the test that runs on this thread.
    pub fn start() -> Self {
        let (guard, guarded) = mpsc::channel();
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        std::thread::spawn(move || {
            if guarded.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("{name} hangs");
                std::process::abort();
            }
        });
        Self(guard)
    }
}

/// A test of this program, run in a separate process; killed when dropped.
#[derive(Debug)]
pub struct Actor {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Actor {
    /// Starts the ignored test `role`, which talks in lines.
    pub fn start(role: &str) -> Self {
        Self::spawn(Command::new(std::env::current_exe().unwrap()).args(arguments(role)).stdin(Stdio::piped()))
    }

    /// Starts `role` as a service manager does: with `sockets` from descriptor 3 on, named `names`.
    pub fn activate(role: &str, socket: OwnedFd, file: OwnedFd, names: &str) -> Self {
        // The shell keeps its pid when it becomes the program, which is what LISTEN_PID must say.
        let script = "exec 3<&0 4<&2 </dev/null 2>&1; LISTEN_PID=$$; export LISTEN_PID; exec \"$0\" \"$@\"";
        Self::spawn(
            Command::new("sh")
                .args(["-c", script])
                .arg(std::env::current_exe().unwrap())
                .args(arguments(role))
                .env("LISTEN_FDS", "2")
                .env("LISTEN_FDNAMES", names)
                .stdin(socket)
                .stderr(file),
        )
    }

    /// Starts `role` by a command that ends in this program, or a copy of it.
    pub fn with(command: &mut Command, role: &str) -> Self {
        Self::spawn(command.args(arguments(role)).stdin(Stdio::piped()))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to it.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line it says; what the test harness prints is not from it.
    pub fn hear(&mut self) -> String {
        let mut all = String::new();
        loop {
            let start = all.len();
            if self.output.read_line(&mut all).unwrap() == 0 {
                panic!("the child ended: {all}");
            }
            if let Some((_, said)) = all[start..].split_once("> ") {
                return said.trim_end().to_owned();
            }
        }
    }

    /// Writes a line to it and returns its reply.
    pub fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear()
    }

    /// Kills it with SIGKILL and collects it.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end and expects its test to have passed.
    pub fn passes(mut self) {
        drop(self.input.take());
        let mut rest = String::new();
        while self.output.read_line(&mut rest).unwrap() > 0 {}
        assert!(self.child.wait().unwrap().success(), "{rest}");
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn arguments(role: &str) -> [&str; 5] {
    [role, "--exact", "--ignored", "--nocapture", "--test-threads=1"]
}

/// What a child says to the test that started it.
pub fn say(line: impl std::fmt::Display) {
    // A line of its own: the harness may have begun one.
    println!("\n> {line}");
}

/// A directory of our own that others may pass, which where temporary files usually go they may not always.
pub fn public_directory() -> tempfile::TempDir {
    let is_passable = |place: &Path| {
        let passes = |part: &Path| part.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0);
        place.canonicalize().is_ok_and(|place| place.ancestors().all(passes))
    };
    let places = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
    let place =
        places.iter().find(|place| is_passable(place)).expect("a place for temporary files that is for everybody");
    let directory = tempfile::tempdir_in(place).unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// If this process is root, runs `f` on a thread of an unprivileged user: Linux keeps credentials per thread.
pub fn as_nobody<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    as_user(NOBODY, f)
}

/// The same with a user that no other process of these tests has, for resources that the kernel counts per user.
pub fn as_somebody<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    // Among those that a container has, too.
    as_user(20_000 + std::process::id() % 40_000, f)
}

/// The same with this user.
pub fn as_user<T: Send>(user: u32, f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
                rustix::thread::set_thread_groups(&[]).unwrap();
                rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
                rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            }
            f()
        });
        thread.join().unwrap()
    })
}
