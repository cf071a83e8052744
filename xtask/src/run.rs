//! Runs steps one after the other and reports on them: quietly if they succeed, with all their output if they fail, and
//! with a table at the end.

use std::{
    fs,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    command::Command,
    console::say,
    need::{self, Need},
    process::{self, Outcome},
    report::{self, Facts, Report, Verdict},
    step::{Proof, Step},
    table::{self, Align},
};

/// Where nextest writes what each test has printed (`.config/nextest.toml`).
const JUNIT: &str = "target/nextest/ci/junit.xml";
/// How much of the output of a stuck command to show.
const LAST_LINES: usize = 50;

/// Runs `steps` and prints their table. Succeeds if none failed.
pub(crate) fn steps(title: &str, steps: &[Step], keep_going: bool) -> Result<ExitCode> {
    let begun = Instant::now();
    let in_ci = need::is_ci();
    let mut reports: Vec<Report> = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        if !keep_going && reports.iter().any(Report::is_failure) {
            reports.push(Report::of(step, Verdict::NotRun));
            continue;
        }
        say(&format!("[{}/{}] {}", index + 1, steps.len(), step.name));
        let (wall, cpu) = (Instant::now(), cpu_time());
        let mut report = match obstacle(step, in_ci, Need::is_met) {
            Some(verdict) => Report::of(step, verdict),
            None => perform(step, Path::new(JUNIT))?,
        };
        (report.took, report.cpu) = (wall.elapsed(), cpu_time().saturating_sub(cpu));
        say(&format!("    {}", report.one_line()));
        reports.push(report);
    }
    say("");
    for line in report::table(title, &reports, begun.elapsed()) {
        say(&line);
    }
    Ok(if reports.iter().any(Report::is_failure) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Why a step cannot run here. On a builder, a missing requirement is a failure if it must be there.
fn obstacle(step: &Step, in_ci: bool, is_met: impl Fn(&Need) -> bool) -> Option<Verdict> {
    if let Some(reason) = &step.idle {
        return Some(Verdict::Skipped(reason.clone()));
    }
    let missing = step.needs.iter().find(|need| !is_met(need))?;
    Some(if in_ci && missing.in_ci {
        Verdict::Failed(format!("{} (a builder must have it)", missing.complaint()))
    } else {
        Verdict::Skipped(missing.complaint())
    })
}

fn perform(step: &Step, junit: &Path) -> Result<Report> {
    let mut facts = Facts::default();
    for command in &step.commands {
        say(&format!("    $ {command}"));
        // Of an earlier command.
        let _ = fs::remove_file(junit);
        let outcome = process::run(command, step.limit)?;
        facts.read(&outcome.output);
        facts.read_junit(&fs::read_to_string(junit).unwrap_or_default());
        if !outcome.succeeded() {
            let verdict = Verdict::Failed(show_failure(command, &outcome, step.limit));
            return Ok(Report { facts, repro: Some(command.to_string()), ..Report::of(step, verdict) });
        }
    }
    facts.summaries.iter().for_each(|line| say(&format!("    {line}")));
    let mut report = Report::of(step, Verdict::Passed);
    let lacks = match step.proof {
        Proof::Success => None,
        Proof::TestsRan => (facts.passed == 0).then_some("it ended well, but no test ran"),
        Proof::Fuzzed => facts.rates.is_empty().then_some("it ended well, but nothing was fuzzed"),
    };
    if let Some(lack) = lacks {
        report.verdict = Verdict::Failed(lack.into());
        report.repro = step.commands.first().map(ToString::to_string);
    } else if let Some(first) = facts.skipped.first() {
        let of = if facts.passed > 0 {
            format!("{} of {} tests: ", facts.skipped.len(), facts.passed)
        } else {
            String::new()
        };
        report.verdict = Verdict::Skipped(of + first);
    }
    report.facts = facts;
    Ok(report)
}

/// Prints the output of a failed command and returns how it ended.
fn show_failure(command: &Command, outcome: &Outcome, limit: Duration) -> String {
    if let Some(status) = outcome.status {
        say(outcome.output.trim_end());
        say(&format!("    failed: {status}: {command}"));
        return status.to_string();
    }
    let lines: Vec<&str> = outcome.output.lines().collect();
    let shown = lines.len().min(LAST_LINES);
    say(&format!("    --- the last {shown} of {} lines", lines.len()));
    say(&lines[lines.len() - shown..].join("\n"));
    format!("still running after {} s", limit.as_secs())
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
pub(crate) fn list(steps: &[Step]) {
    let mut rows = vec![["step", "group", "limit", "needs", "command"].map(str::to_owned).to_vec()];
    for step in steps {
        let needs: Vec<_> = step.needs.iter().map(|need| need.tool.name()).collect();
        let needs = if needs.is_empty() { "-".to_owned() } else { needs.join(",") };
        let mut commands: Vec<String> = step.commands.iter().map(ToString::to_string).collect();
        commands.extend(step.idle.as_ref().map(|reason| format!("({reason})")));
        let mut row = vec![step.name.clone(), step.group.to_string(), format!("{} s", step.limit.as_secs()), needs];
        for command in commands {
            row.push(command);
            rows.push(row);
            row = vec![String::new(); 4];
        }
    }
    let columns = [Align::Left, Align::Left, Align::Right, Align::Left, Align::Left];
    table::lines(&columns, &rows).iter().for_each(|line| say(line));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Group;

    fn step(script: &str) -> Step {
        let command = Command::new("sh", "sh", ["-c", script]);
        Step::new("probe", Group::Text, Duration::from_secs(60), vec![command])
    }

    fn performed(step: &Step) -> Result<Report> {
        perform(step, Path::new("/nowhere/junit.xml"))
    }

    #[test]
    fn a_step_fails_with_its_command() {
        let report = performed(&step("echo because; exit 7")).unwrap();
        assert!(report.is_failure());
        assert_eq!(report.repro.as_deref(), Some("sh -c 'echo because; exit 7'"));
        assert!(!performed(&step("exit 0")).unwrap().is_failure());
    }

    #[test]
    fn a_step_that_overruns_fails() {
        let mut step = step("sleep 600");
        step.limit = Duration::from_millis(200);
        let report = performed(&step).unwrap();
        assert!(matches!(&report.verdict, Verdict::Failed(reason) if reason.contains("still running")));
    }

    #[test]
    fn tests_that_do_not_run_are_a_failure() {
        let ran = "echo 'test result: ok. 3 passed; 0 failed; 0 ignored'";
        assert!(!performed(&step(ran).proving(Proof::TestsRan)).unwrap().is_failure());
        let idle = "echo 'test result: ok. 0 passed; 0 failed; 0 ignored'";
        assert!(performed(&step(idle).proving(Proof::TestsRan)).unwrap().is_failure());
        assert!(performed(&step(ran).proving(Proof::Fuzzed)).unwrap().is_failure());
    }

    #[test]
    fn tests_that_skip_themselves_are_a_skipped_row() {
        let said = "echo 'SKIPPED a: no server'; echo 'test result: ok. 3 passed; 0 failed; 0 ignored'";
        let report = performed(&step(said).proving(Proof::TestsRan)).unwrap();
        assert_eq!(report.verdict, Verdict::Skipped("1 of 3 tests: SKIPPED a: no server".into()));
    }

    #[test]
    fn what_nextest_keeps_to_itself_is_read_once() {
        let junit = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let ran = "echo 'test result: ok. 3 passed; 0 failed; 0 ignored'";
        let xml = r"<system-out>test result: ok. 1 passed</system-out>\n<system-err>SKIPPED a: it&apos;s not here</system-err>\n";
        let said = format!(r#"{ran}; printf "{xml}" > {}"#, junit.display());
        let report = perform(&step(&said), &junit).unwrap();
        assert_eq!(report.verdict, Verdict::Skipped("1 of 3 tests: SKIPPED a: it's not here".into()));
        assert_eq!(perform(&step(ran), &junit).unwrap().verdict, Verdict::Passed);
    }

    #[test]
    fn a_missing_tool_is_skipped_here_and_fails_on_a_builder_that_must_have_it() {
        let optional = step("exit 0").needing(&[need::DENY]);
        let required = step("exit 0").needing(&[need::JAVA]);
        let verdict = |step: &Step, in_ci| obstacle(step, in_ci, |_| false);
        assert!(matches!(verdict(&optional, false), Some(Verdict::Skipped(_))));
        assert!(matches!(verdict(&optional, true), Some(Verdict::Skipped(_))));
        assert!(matches!(verdict(&required, false), Some(Verdict::Skipped(_))));
        assert!(matches!(verdict(&required, true), Some(Verdict::Failed(_))));
        assert!(obstacle(&required, true, |_| true).is_none());
    }

    #[test]
    fn the_first_failure_stops_the_rest_unless_told_otherwise() {
        let file = std::env::temp_dir().join(format!("xtask-ci-{}", std::process::id()));
        // From an earlier run that failed, in a container with the same process ids.
        let _ = fs::remove_file(&file);
        let both = [step("exit 1"), step(&format!("touch {}", file.display()))];
        assert_eq!(steps("probe", &both, false).unwrap(), ExitCode::FAILURE);
        assert!(!file.exists(), "the second step ran");
        assert_eq!(steps("probe", &both, true).unwrap(), ExitCode::FAILURE);
        fs::remove_file(&file).unwrap();
    }

    #[test]
    fn the_cpu_time_of_a_command_is_counted() {
        let before = cpu_time();
        performed(&step("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")).unwrap();
        assert!(cpu_time() > before);
    }
}
