//! Runs steps one after the other and reports on them: quietly if they succeed, with all their output if they fail, and
//! with a table at the end.

use std::{
    fs::{self, OpenOptions},
    io::Read,
    path::Path,
    process::{Command, ExitCode, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use regex_lite::Regex;
use tempfile::NamedTempFile;

use crate::{
    console::say,
    plan::Plan,
    report::{self, Facts, Report, Verdict},
    step::{Proof, Step},
    tools,
};

/// Where nextest writes what each test has printed (`.config/nextest.toml`).
const JUNIT: &str = "target/nextest/ci/junit.xml";
/// How much of the output of a stuck command to show.
const LAST_LINES: usize = 50;
/// A silent builder looks like a dead one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);
/// How many seconds a command that was told to stop may take before it is killed.
const GRACE: &str = "--kill-after=5";
/// The exit codes of `timeout` for a command that it told to stop, and for one that it had to kill.
const OVERRUN: [Option<i32>; 3] = [Some(124), Some(137), None];

/// Runs `steps` and prints their table. Succeeds if none failed.
pub(crate) fn steps(title: &str, plan: &Plan, steps: &[Step], keep_going: bool) -> Result<ExitCode> {
    let begun = Instant::now();
    let mut reports: Vec<Report> = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        if !keep_going && reports.iter().any(Report::is_failure) {
            reports.push(Report::of(step, Verdict::NotRun));
            continue;
        }
        say(&format!("[{}/{}] {}", index + 1, steps.len(), step.name));
        let (wall, cpu) = (Instant::now(), cpu_time());
        let commands = match obstacle(step, tools::is_ci(), tools::has)? {
            Some(verdict) => Err(verdict),
            None => plan.commands(step).map_err(Verdict::Skipped),
        };
        let mut report = match commands {
            Err(verdict) => Report::of(step, verdict),
            Ok(commands) => perform(step, &commands, Path::new(JUNIT))?,
        };
        (report.took, report.cpu) = (wall.elapsed(), cpu_time().saturating_sub(cpu));
        say(&format!("    {}", report.one_line()));
        reports.push(report);
    }
    say("");
    report::table(title, &reports, begun.elapsed()).iter().for_each(|line| say(line));
    Ok(if reports.iter().any(Report::is_failure) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Why a step cannot run here. On a builder, a missing tool is a failure if it must be there.
fn obstacle(step: &Step, in_ci: bool, has: impl Fn(&str) -> Result<bool>) -> Result<Option<Verdict>> {
    for name in &step.needs {
        if !has(name)? {
            let tool = tools::find(name)?;
            let complaint = tool.complaint();
            return Ok(Some(if in_ci && tool.in_ci {
                Verdict::Failed(format!("{complaint} (a builder must have it)"))
            } else {
                Verdict::Skipped(complaint)
            }));
        }
    }
    Ok(None)
}

fn perform(step: &Step, commands: &[String], junit: &Path) -> Result<Report> {
    let mut facts = Facts::default();
    for (index, command) in commands.iter().enumerate() {
        say(&format!("    $ {command}"));
        // Of an earlier command.
        let _ = fs::remove_file(junit);
        let (status, output) = execute(command, step.limit())?;
        facts.read(&output);
        facts.read_junit(&fs::read_to_string(junit).unwrap_or_default());
        let ended_well = status
            .is_some_and(|status| status.success() || status.code().is_some_and(|code| step.fine.contains(&code)));
        let is_well = match &step.must_fail {
            Some(with) if index + 1 == commands.len() => !ended_well && Regex::new(with)?.is_match(&output),
            _ => ended_well,
        };
        if !is_well {
            let verdict = Verdict::Failed(show_failure(command, status, &output, step.limit()));
            return Ok(Report { facts, repro: Some(command.clone()), ..Report::of(step, verdict) });
        }
    }
    facts.summaries.iter().for_each(|line| say(&format!("    {line}")));
    let lacks = match step.proof {
        Some(Proof::Tests) if facts.passed == 0 => Some("no test ran"),
        Some(Proof::Fuzzed) if facts.rates.is_empty() => Some("nothing was fuzzed"),
        Some(Proof::Mutants) if facts.mutants == 0 => Some("no mutant was tested"),
        _ => None,
    };
    let verdict = match (lacks, facts.skipped.first()) {
        (Some(lack), _) => Verdict::Failed(format!("it ended well, but {lack}")),
        (None, Some(first)) if facts.passed > 0 => {
            Verdict::Skipped(format!("{} of {} tests: {first}", facts.skipped.len(), facts.passed))
        }
        (None, Some(first)) => Verdict::Skipped(first.clone()),
        (None, None) => Verdict::Passed,
    };
    let repro = commands.first().filter(|_| lacks.is_some()).cloned();
    Ok(Report { facts, repro, ..Report::of(step, verdict) })
}

/// Runs a line with an empty standard input, for at most `limit`. Returns how it ended, unless it was stopped, and its
/// output in the order in which it came.
fn execute(line: &str, limit: Duration) -> Result<(Option<ExitStatus>, String)> {
    // A file, not a pipe: processes that a command leaves behind may keep a pipe open.
    let log = NamedTempFile::new().context("cannot make a file for the output")?;
    let begun = Instant::now();
    // `timeout` stops the whole group of processes, and is told to stop if we end: a terminal's Ctrl-C does not reach the group.
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "timeout", GRACE, &limit.as_secs_f64().to_string(), "sh", "-c", line])
        .stdin(Stdio::null())
        .stderr(OpenOptions::new().append(true).open(log.path())?)
        .stdout(OpenOptions::new().append(true).open(log.path())?)
        .spawn()
        .context("cannot start setpriv(1)")?;
    let mut next_sign = SIGN_OF_LIFE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() >= next_sign {
            say(&format!("    ... still running after {} s", begun.elapsed().as_secs()));
            next_sign += SIGN_OF_LIFE;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let is_overrun = begun.elapsed() >= limit && OVERRUN.contains(&status.code());
    let mut output = Vec::new();
    log.reopen()?.read_to_end(&mut output)?;
    Ok(((!is_overrun).then_some(status), String::from_utf8_lossy(&output).into_owned()))
}

/// Prints the output of a failed command and returns how it ended.
fn show_failure(command: &str, status: Option<ExitStatus>, output: &str, limit: Duration) -> String {
    let lines: Vec<&str> = output.trim_end().lines().collect();
    let hidden = if status.is_some() { 0 } else { lines.len().saturating_sub(LAST_LINES) };
    if hidden > 0 {
        say(&format!("    --- without {hidden} earlier lines"));
    }
    say(&lines[hidden..].join("\n"));
    let how = status.map_or(format!("still running after {} s", limit.as_secs()), |status| status.to_string());
    say(&format!("    failed: {how}: {command}"));
    how
}

/// The CPU time of all commands so far, from `/proc/self/stat` (proc(5), fields 16 and 17). On a shared machine it says
/// more than the clock.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Prints the steps with their limits, needs and commands.
pub(crate) fn list(plan: &Plan, steps: &[Step]) {
    let mut rows = vec![["step", "group", "limit", "needs", "command"].map(str::to_owned).to_vec()];
    for step in steps {
        let needs = if step.needs.is_empty() { "-".to_owned() } else { step.needs.join(",") };
        let limit = format!("{} s", step.limit().as_secs());
        let mut row = vec![step.name.clone(), step.group.clone(), limit, needs];
        for command in plan.commands(step).unwrap_or_else(|reason| vec![format!("({reason})")]) {
            row.push(command);
            rows.push(std::mem::replace(&mut row, vec![String::new(); 4]));
        }
    }
    report::lines("llrll", &rows).iter().for_each(|line| say(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAN: &str = "echo 'test result: ok. 3 passed; 0 failed; 0 ignored'";

    fn step(more: &str) -> Step {
        toml::from_str(&format!("name = 'probe'\ngroup = 'text'\nminutes = 1\nrun = []\n{more}")).unwrap()
    }

    fn performed(step: &Step, line: &str) -> Report {
        perform(step, &[line.to_owned()], Path::new("/nowhere/junit.xml")).unwrap()
    }

    #[test]
    fn a_step_fails_with_its_command() {
        let report = performed(&step(""), "echo because; exit 7");
        assert!(report.is_failure() && report.repro.as_deref() == Some("echo because; exit 7"));
        assert!(!performed(&step(""), "exit 0").is_failure());
        assert!(!performed(&step("fine = [7]"), "exit 7").is_failure());
        let canary = step("must-fail = 'planted'");
        assert!(!performed(&canary, "echo planted; exit 1").is_failure());
        assert!(["echo other; exit 1", "echo planted"].iter().all(|line| performed(&canary, line).is_failure()));
    }

    #[test]
    fn a_step_without_its_proof_fails() {
        for (proof, line) in [
            ("tests", RAN),
            ("fuzzed", "echo 'stat::average_exec_per_sec: 900'"),
            ("mutants", "echo '12 mutants tested in 3m: 10 caught, 2 unviable'"),
        ] {
            let step = step(&format!("proof = '{proof}'"));
            let none = "echo 'test result: ok. 0 passed'; echo '0 mutants tested'";
            assert!(!performed(&step, line).is_failure() && performed(&step, none).is_failure(), "{proof}");
        }
    }

    #[test]
    fn output_is_captured_in_order() {
        let (status, output) = execute("echo one; echo two >&2; echo three; exit 3", SIGN_OF_LIFE).unwrap();
        assert_eq!((status.unwrap().code(), output.as_str()), (Some(3), "one\ntwo\nthree\n"));
        let (status, output) = execute("/no/such/program -x", SIGN_OF_LIFE).unwrap();
        assert!(!status.unwrap().success() && output.contains("/no/such/program"), "{output}");
    }

    #[test]
    fn a_command_that_overruns_is_stopped_even_if_it_ignores_that() {
        for line in ["sleep 600; true", "trap '' TERM; while :; do sleep 1; done"] {
            let begun = Instant::now();
            assert_eq!(execute(line, Duration::from_millis(200)).unwrap().0, None);
            assert!(begun.elapsed() < Duration::from_secs(60), "{line}");
        }
        // The children, too; a zombie has no command line.
        let (_, child) = execute("sleep 600 & echo $!; wait", Duration::from_millis(500)).unwrap();
        let begun = Instant::now();
        while fs::read(format!("/proc/{}/cmdline", child.trim())).is_ok_and(|line| !line.is_empty()) {
            assert!(begun.elapsed() < Duration::from_secs(60) && !child.is_empty(), "its child goes on");
            thread::yield_now();
        }
        let report = performed(&step("").with_limit(Duration::from_millis(200)), "sleep 600");
        assert!(matches!(&report.verdict, Verdict::Failed(reason) if reason.contains("still running")));
    }

    #[test]
    fn what_a_command_leaves_running_does_not_hold_us() {
        let begun = Instant::now();
        assert!(execute("echo done; sleep 5 & exit 0", Duration::from_secs(1200)).unwrap().0.unwrap().success());
        assert!(begun.elapsed() < Duration::from_secs(5), "waited for the leftover");
    }

    #[test]
    fn tests_that_skip_themselves_are_a_skipped_row_even_if_nextest_keeps_it_to_itself() {
        let report = performed(&step("proof = 'tests'"), &format!("echo 'SKIPPED a: no server'; {RAN}"));
        assert_eq!(report.verdict, Verdict::Skipped("1 of 3 tests: SKIPPED a: no server".into()));
        let junit = NamedTempFile::new().unwrap().into_temp_path();
        let xml = r"<system-out>test result: ok. 1 passed</system-out>\n<system-err>SKIPPED a: it&apos;s not here</system-err>\n";
        let said = format!(r#"{RAN}; printf "{xml}" > {}"#, junit.display());
        let verdict = |line: &str| perform(&step(""), &[line.to_owned()], &junit).unwrap().verdict;
        assert_eq!(verdict(&said), Verdict::Skipped("1 of 3 tests: SKIPPED a: it's not here".into()));
        assert_eq!(verdict(RAN), Verdict::Passed);
    }

    #[test]
    fn a_missing_tool_is_skipped_here_and_fails_on_a_builder_that_must_have_it() {
        for (tool, in_ci, is_failure) in
            [("cargo-deny", false, false), ("cargo-deny", true, false), ("java", false, false), ("java", true, true)]
        {
            let step = step(&format!("needs = ['{tool}']"));
            let verdict = obstacle(&step, in_ci, |_| Ok(false)).unwrap().unwrap();
            assert_eq!(matches!(verdict, Verdict::Failed(_)), is_failure, "{tool}: {verdict:?}");
            assert!(obstacle(&step, in_ci, |_| Ok(true)).unwrap().is_none());
        }
    }

    #[test]
    fn the_first_failure_stops_the_rest_unless_told_otherwise() {
        let plan: Plan = toml::from_str("step = []\nvalues = {}\nlists = {}\n").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("second");
        let lines = ["exit 1".to_owned(), format!("touch {}", file.display())];
        let both = lines.map(|line| Step { run: vec![line], ..step("") });
        assert_eq!(steps("probe", &plan, &both, false).unwrap(), ExitCode::FAILURE);
        assert!(!file.exists(), "the second step ran");
        assert_eq!(steps("probe", &plan, &both, true).unwrap(), ExitCode::FAILURE);
        assert!(file.exists());
    }

    #[test]
    fn the_cpu_time_of_a_command_is_counted() {
        let before = cpu_time();
        performed(&step(""), "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
        assert!(cpu_time() > before);
    }
}
