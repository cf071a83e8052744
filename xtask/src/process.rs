//! Running one command to its end, or to its deadline, whichever comes first.
//!
//! Output is captured, in order, and bounded. A command that overruns is stopped together with
//! everything it started: test runners put each test into a process group of its own, so a signal
//! to one group is not enough. Each command therefore gets an environment variable of its own;
//! whatever carries it in `/proc/PID/environ`, or descends from the command, belongs to it.

mod family;

use std::{
    io::{self, Read},
    process::{Child, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{command::Command, console};
use family::{Family, Signal};

/// Captured output beyond this keeps its end and loses its beginning.
const MAX_OUTPUT: usize = 16 << 20;
/// How long a command told to stop may take before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long output may stay open after the command itself is gone.
const LINGER: Duration = Duration::from_secs(2);
/// A silent builder looks like a dead one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(50);

/// What became of a command.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ending: Ending,
    /// Standard output and standard error as they came.
    pub(crate) output: String,
    /// What the command left running with its output open; stopped by now.
    pub(crate) leftovers: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Ending {
    Exited(ExitStatus),
    /// The processes that were alive at the deadline, one line each.
    TimedOut {
        alive: Vec<String>,
    },
}

impl Outcome {
    pub(crate) fn succeeded(&self) -> bool {
        matches!(&self.ending, Ending::Exited(status) if status.success())
    }
}

/// Runs `command` with nothing on its standard input and at most `limit` of time.
///
/// # Errors
///
/// The command cannot be started; whatever happens afterwards is in the [`Outcome`].
pub(crate) fn run(command: &Command, limit: Duration) -> Result<Outcome> {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let mark = format!("XTASK_COMMAND_{}_{number}", std::process::id());

    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let mut process = command.to_process();
    process.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).env(&mark, "1");
    let child = process.spawn().with_context(|| format!("cannot start `{command}`"))?;
    // The command holds copies of the pipe's writing end; without ours gone there is no end of file.
    drop(process);

    let family = Family { ancestor: child.id(), mark };
    let mut running = Running { child, family, chunks: follow(reader), output: Vec::new(), leftovers: Vec::new() };
    let ending = running.see_through(limit)?;
    let output = String::from_utf8_lossy(&running.output).into_owned();
    Ok(Outcome { ending, output, leftovers: running.leftovers })
}

struct Running {
    child: Child,
    family: Family,
    chunks: Receiver<Vec<u8>>,
    output: Vec<u8>,
    leftovers: Vec<String>,
}

impl Running {
    fn see_through(&mut self, limit: Duration) -> Result<Ending> {
        let started = Instant::now();
        let mut next_sign = SIGN_OF_LIFE;
        loop {
            let open = self.take_output(TICK);
            let status = if open { self.child.try_wait()? } else { self.wait_until(started + limit)? };
            if let Some(status) = status {
                self.take_the_rest();
                return Ok(Ending::Exited(status));
            }
            let elapsed = started.elapsed();
            if elapsed >= limit {
                let alive = self.family.describe();
                self.stop()?;
                return Ok(Ending::TimedOut { alive });
            }
            if elapsed >= next_sign {
                console::say(&format!("    ... still running after {} s", elapsed.as_secs()));
                next_sign += SIGN_OF_LIFE;
            }
        }
    }

    /// Waits for the next piece of output; false once there will be no more.
    fn take_output(&mut self, wait: Duration) -> bool {
        match self.chunks.recv_timeout(wait) {
            Ok(chunk) => {
                self.output.extend_from_slice(&chunk);
                if self.output.len() > MAX_OUTPUT {
                    self.output.drain(..MAX_OUTPUT / 2);
                }
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        }
    }

    /// The command closed its output: only its end is left to wait for.
    fn wait_until(&mut self, deadline: Instant) -> Result<Option<ExitStatus>> {
        loop {
            let status = self.child.try_wait()?;
            if status.is_some() || Instant::now() >= deadline {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Something the command left behind may hold the pipe open for ever: after a while it is stopped too.
    fn take_the_rest(&mut self) {
        let until = Instant::now() + LINGER;
        while self.take_output(TICK) {
            if Instant::now() >= until {
                self.leftovers = self.family.describe();
                self.family.signal(Signal::Kill);
                break;
            }
        }
    }

    /// Asks everyone to stop, and after a while makes them.
    fn stop(&mut self) -> Result<()> {
        self.family.signal(Signal::Terminate);
        let until = Instant::now() + GRACE;
        while Instant::now() < until && (self.child.try_wait()?.is_none() || !self.family.members().is_empty()) {
            self.take_output(TICK);
        }
        // Whoever is killed may have been starting another one: again until nobody is left.
        for _ in 0..20 {
            if self.family.signal(Signal::Kill) == 0 {
                break;
            }
            thread::sleep(TICK);
        }
        let _ = self.child.kill();
        self.child.wait()?;
        self.take_the_rest();
        Ok(())
    }
}

/// Reads the pipe in a thread; the channel closes at end of file.
fn follow(mut reader: io::PipeReader) -> Receiver<Vec<u8>> {
    // A few chunks of slack: a command faster than we are is slowed down by its full pipe.
    let (chunks, receiver) = mpsc::sync_channel(16);
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => {
                    if chunks.send(buffer[..len].to_vec()).is_err() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        Command::new("sh", "sh", ["-c", script])
    }

    #[test]
    fn output_is_captured_in_order() {
        let outcome = run(&sh("echo one; echo two >&2; echo three; exit 3"), GRACE).unwrap();
        assert_eq!(outcome.output, "one\ntwo\nthree\n");
        assert!(matches!(outcome.ending, Ending::Exited(status) if status.code() == Some(3)));
    }

    #[test]
    fn a_command_that_is_not_there_is_an_error_that_names_it() {
        let error = run(&Command::new("/no/such/program", "absent", ["-x"]), GRACE).unwrap_err();
        assert!(format!("{error:#}").contains("`absent -x`"), "{error:#}");
    }

    #[test]
    fn an_overrun_stops_children_in_other_groups_and_sessions_too() {
        // The grandchild is a session leader whose parent is gone, and it ignores the polite signal.
        let script = "(setsid sh -c 'trap \"\" TERM; echo ready; while :; do sleep 1; done' &); exec sleep 600";
        // On a busy machine they may not have got so far in a second.
        let mut limits = [1, 5, 25].map(Duration::from_secs).into_iter();
        let outcome = loop {
            let limit = limits.next().expect("a shell starts in less time");
            let outcome = run(&sh(script), limit).unwrap();
            if outcome.output.contains("ready") {
                break outcome;
            }
        };
        let Ending::TimedOut { alive } = &outcome.ending else { panic!("{outcome:?}") };
        assert!(alive.len() >= 2, "{alive:?}");
        for line in alive {
            let pid = line.split_whitespace().next().unwrap();
            assert!(!is_running(pid), "still there: {line}");
        }
    }

    #[test]
    fn a_command_that_closes_its_output_still_has_a_deadline() {
        let outcome = run(&sh("exec >&- 2>&-; sleep 600"), Duration::from_secs(1)).unwrap();
        assert!(matches!(outcome.ending, Ending::TimedOut { .. }), "{outcome:?}");
    }

    #[test]
    fn a_leftover_that_holds_the_output_open_does_not_hold_us() {
        let begun = Instant::now();
        let outcome = run(&sh("echo done; sleep 600 & exit 0"), Duration::from_secs(1200)).unwrap();
        assert!(outcome.succeeded());
        assert!(begun.elapsed() < Duration::from_secs(60), "waited for the leftover");
        assert_eq!(outcome.leftovers.len(), 1);
        assert!(outcome.leftovers[0].contains("sleep 600"));
    }

    fn is_running(pid: &str) -> bool {
        // A zombie whose parent has not looked yet runs no more.
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
    }
}
