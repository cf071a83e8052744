//! Runs one command to its end, or to its deadline.
//!
//! `timeout(1)` keeps the deadline. nextest stops its tests when it is told to stop, and has limits of its own for them.

use std::{
    fs::OpenOptions,
    io::Read,
    process::{ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

use crate::{command::Command, console::say};

/// How long a command that was told to stop may take before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// A silent builder looks like a dead one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(20);
/// The exit codes of `timeout` for a command that it told to stop, and for one that it had to kill.
const OVERRUN: [i32; 2] = [124, 137];

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `None` if it was stopped at its deadline.
    pub(crate) status: Option<ExitStatus>,
    /// Standard output and standard error in the order in which they came.
    pub(crate) output: String,
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
    // A file, not a pipe: processes that a command leaves behind may keep a pipe open.
    let log = NamedTempFile::new().context("cannot make a file for the output")?;
    let mut process = command.to_process(limit, GRACE);
    process.stdin(Stdio::null());
    process.stderr(OpenOptions::new().append(true).open(log.path())?);
    process.stdout(OpenOptions::new().append(true).open(log.path())?);
    let begun = Instant::now();
    let mut child = process.spawn().with_context(|| format!("cannot start `{command}`"))?;
    let mut next_sign = SIGN_OF_LIFE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() >= next_sign {
            say(&format!("    ... still running after {} s", begun.elapsed().as_secs()));
            next_sign += SIGN_OF_LIFE;
        }
        thread::sleep(TICK);
    };
    let is_overrun = begun.elapsed() >= limit && status.code().is_none_or(|code| OVERRUN.contains(&code));
    let mut output = Vec::new();
    log.reopen()?.read_to_end(&mut output)?;
    let output = String::from_utf8_lossy(&output).into_owned();
    Ok(Outcome { status: (!is_overrun).then_some(status), output })
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
    }

    #[test]
    fn a_command_that_is_not_there_fails_by_its_name() {
        let outcome = run(&Command::new("/no/such/program", "absent", ["-x"]), GRACE).unwrap();
        assert!(!outcome.succeeded() && outcome.output.contains("/no/such/program"), "{outcome:?}");
    }

    #[test]
    fn a_command_that_overruns_is_stopped_even_if_it_ignores_that() {
        for script in ["exec sleep 600", "trap '' TERM; while :; do sleep 1; done"] {
            let begun = Instant::now();
            assert_eq!(run(&sh(script), Duration::from_millis(200)).unwrap().status, None);
            assert!(begun.elapsed() < Duration::from_secs(60), "{script}");
        }
    }

    #[test]
    fn what_a_command_leaves_running_does_not_hold_us() {
        let begun = Instant::now();
        assert!(run(&sh("echo done; sleep 5 & exit 0"), Duration::from_secs(1200)).unwrap().succeeded());
        assert!(begun.elapsed() < Duration::from_secs(5), "waited for the leftover");
    }
}
