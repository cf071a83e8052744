//! Runs one command to its end, or to its deadline.
//!
//! A command that overruns is stopped together with everything that it started. Test runners put each test into its own
//! process group, so a signal to one group is not enough. Each command therefore gets its own environment variable, and
//! every process that has it in `/proc/PID/environ` belongs to the command.

use std::{
    fs,
    io::Read,
    process::{Child, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use crate::{command::Command, console::say};

/// How long a command that was told to stop may take before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// A silent builder looks like a dead one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(20);

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `None` if it was stopped at its deadline.
    pub(crate) status: Option<ExitStatus>,
    /// Standard output and standard error in the order in which they came.
    pub(crate) output: String,
    /// What was still running at the deadline or at the command's end, one line each; stopped by now.
    pub(crate) stopped: Vec<String>,
}

impl Outcome {
    pub(crate) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// Runs `command` with an empty standard input, for at most `limit`.
///
/// # Errors
///
/// The command cannot be started or waited for.
pub(crate) fn run(command: &Command, limit: Duration) -> Result<Outcome> {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let mark = format!("XTASK_COMMAND_{}_{}=1", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));

    // A file, not a pipe: processes that a command leaves behind may keep a pipe open.
    let log = NamedTempFile::new().context("cannot make a file for the output")?;
    let mut process = command.to_process();
    process.stdin(Stdio::null()).env(mark.trim_end_matches("=1"), "1");
    process.stderr(fs::OpenOptions::new().append(true).open(log.path())?);
    process.stdout(fs::OpenOptions::new().append(true).open(log.path())?);
    let mut child = process.spawn().with_context(|| format!("cannot start `{command}`"))?;
    let status = wait(&mut child, limit)?;
    let stopped = carriers(&mark).into_iter().map(describe).collect();
    stop(&mut child, &mark)?;

    let mut output = Vec::new();
    log.reopen()?.read_to_end(&mut output)?;
    Ok(Outcome { status, output: String::from_utf8_lossy(&output).into_owned(), stopped })
}

/// Waits for the command's end; `None` at the deadline.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let begun = Instant::now();
    let mut next_sign = SIGN_OF_LIFE;
    loop {
        let status = child.try_wait()?;
        let elapsed = begun.elapsed();
        if status.is_some() || elapsed >= limit {
            return Ok(status);
        }
        if elapsed >= next_sign {
            say(&format!("    ... still running after {} s", elapsed.as_secs()));
            next_sign += SIGN_OF_LIFE;
        }
        thread::sleep(TICK);
    }
}

/// Asks every process with the mark to stop, and kills it if it does not.
fn stop(child: &mut Child, mark: &str) -> Result<()> {
    let signal = |signal| carriers(mark).into_iter().filter(|&pid| kill_process(pid, signal).is_ok()).count();
    let until = Instant::now() + GRACE;
    signal(Signal::TERM);
    // A process that is killed may have been starting another one, so repeat until none is left.
    while Instant::now() < until + GRACE && (child.try_wait()?.is_none() || !carriers(mark).is_empty()) {
        if Instant::now() >= until {
            signal(Signal::KILL);
        }
        thread::sleep(TICK);
    }
    Ok(())
}

/// The live processes that have `mark` in their environment. A zombie has none.
fn carriers(mark: &str) -> Vec<Pid> {
    let Ok(listing) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = listing.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes())
    })
    .filter_map(Pid::from_raw)
    .collect()
}

/// Process id, what it waits for in the kernel, and its command line.
fn describe(pid: Pid) -> String {
    let pid = pid.as_raw_nonzero();
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let line = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
    let line: String = line.trim().chars().take(160).collect();
    format!("{pid} {} {line}", String::from_utf8_lossy(&read("wchan")))
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
        assert_eq!(outcome.status.unwrap().code(), Some(3));
        assert_eq!(outcome.stopped, [""; 0]);
    }

    #[test]
    fn a_command_that_is_not_there_is_an_error_that_names_it() {
        let error = run(&Command::new("/no/such/program", "absent", ["-x"]), GRACE).unwrap_err();
        assert!(format!("{error:#}").contains("`absent -x`"), "{error:#}");
    }

    #[test]
    fn an_overrun_stops_children_in_other_groups_and_sessions_too() {
        // The grandchild is a session leader without a parent, and it ignores SIGTERM.
        let script = "(setsid sh -c 'trap \"\" TERM; echo ready; while :; do sleep 1; done' &); exec sleep 600";
        // On a busy machine they may need more than a second to get this far.
        let mut limits = [1, 5, 25].map(Duration::from_secs).into_iter();
        let outcome = loop {
            let outcome = run(&sh(script), limits.next().expect("a shell starts in less time")).unwrap();
            if outcome.output.contains("ready") {
                break outcome;
            }
        };
        assert_eq!(outcome.status, None);
        assert!(outcome.stopped.len() >= 2, "{outcome:?}");
        for line in &outcome.stopped {
            let pid = line.split_whitespace().next().unwrap();
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // A zombie that its parent has not waited for is not running any more.
            assert!(stat.is_empty() || stat.contains(") Z "), "still there: {line}");
        }
    }

    #[test]
    fn what_a_command_leaves_running_is_stopped_and_does_not_hold_us() {
        let begun = Instant::now();
        let outcome = run(&sh("echo done; sleep 600 & exit 0"), Duration::from_secs(1200)).unwrap();
        assert!(outcome.succeeded());
        assert!(begun.elapsed() < Duration::from_secs(60), "waited for the leftover");
        assert_eq!(outcome.stopped.len(), 1, "{outcome:?}");
        assert!(outcome.stopped[0].contains("sleep 600"));
    }
}
