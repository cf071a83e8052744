//! Runs steps one after the other and accounts for them: quiet when all is well, everything that
//! was said when it is not, a table at the end.

mod report;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    command::Command,
    console::say,
    flags,
    need::{self, Need},
    process::{self, Ending, Outcome},
    prop,
    step::{self, Proof, Step},
    steps::{self, Machine},
    table::{self, Align},
    workspace::Workspace,
};
use report::{Report, Verdict};

/// How much of a stuck command's output is shown.
const LAST_LINES: usize = 50;

/// `cargo xtask ci`.
pub(crate) fn run(workspace: &Workspace, options: &flags::Ci) -> Result<ExitCode> {
    let all = steps::ci(workspace, Machine::look(), prop::fresh_seed());
    let known = known_names(&all);
    let chosen = match step::select(all, options.only.as_deref()) {
        Ok(chosen) => chosen,
        Err(unknown) => {
            crate::console::complain(&format!(
                "error: --only names no step or group: {}\nthere are: {known}",
                if unknown.is_empty() { "(nothing)".to_owned() } else { unknown.join(", ") }
            ));
            return Ok(ExitCode::from(2));
        }
    };
    if options.list {
        list(&chosen);
        return Ok(ExitCode::SUCCESS);
    }
    run_steps("ci", &chosen, options.keep_going)
}

/// `cargo xtask integration`.
pub(crate) fn integration(workspace: &Workspace) -> Result<ExitCode> {
    run_steps("integration", &steps::integration(workspace, Machine::look()), true)
}

/// Runs `steps` and prints their table; succeeds when none failed.
pub(crate) fn run_steps(title: &str, steps: &[Step], keep_going: bool) -> Result<ExitCode> {
    let begun = Instant::now();
    let in_ci = need::is_ci();
    let mut reports: Vec<Report> = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let stopped = !keep_going && reports.iter().any(Report::is_failure);
        if stopped {
            reports.push(Report::of(step, Verdict::NotRun));
            continue;
        }
        say(&format!("[{}/{}] {}", index + 1, steps.len(), step.name));
        let report = match obstacle(step, in_ci, Need::is_met) {
            Some(verdict) => Report::of(step, verdict),
            None => perform(step)?,
        };
        say(&format!("    {}", report.one_line()));
        reports.push(report);
    }
    say("");
    for line in report::account(title, &reports, begun.elapsed()) {
        say(&line);
    }
    Ok(if reports.iter().any(Report::is_failure) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Why a step cannot run here. On a builder, the lack of what must be there is a failure.
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

fn perform(step: &Step) -> Result<Report> {
    let begun = Instant::now();
    let mut output = String::new();
    for command in &step.commands {
        say(&format!("    $ {command}"));
        let outcome = process::run(command, step.limit)?;
        output.push_str(&outcome.output);
        for line in &outcome.leftovers {
            say(&format!("    left running, and stopped: {line}"));
        }
        if !outcome.succeeded() {
            let reason = show_failure(command, &outcome, step.limit);
            let mut report = Report::failed(step, reason, begun.elapsed(), command);
            report.tests = (step.proof == Proof::TestsRan).then(|| report::Tests::read(&output));
            return Ok(report);
        }
    }
    let mut report = Report::of(step, Verdict::Passed);
    report.took = begun.elapsed();
    if step.proof == Proof::TestsRan {
        let tests = report::Tests::read(&output);
        for line in &tests.lines {
            say(&format!("    {line}"));
        }
        if tests.passed == 0 {
            report.verdict = Verdict::Failed("it ended well, but no test ran".into());
            report.repro = step.commands.first().map(ToString::to_string);
        }
        if let Some(first) = tests.skipped.first() {
            report.verdict = Verdict::Skipped(format!("{} of {} tests: {first}", tests.skipped.len(), tests.passed));
        }
        report.tests = Some(tests);
    }
    Ok(report)
}

/// Prints what a failed command said and returns how it ended.
fn show_failure(command: &Command, outcome: &Outcome, limit: Duration) -> String {
    match &outcome.ending {
        Ending::Exited(status) => {
            say(outcome.output.trim_end());
            say(&format!("    failed: {status}: {command}"));
            status.to_string()
        }
        Ending::TimedOut { alive } => {
            let lines: Vec<&str> = outcome.output.lines().collect();
            let shown = lines.len().min(LAST_LINES);
            say(&format!("    --- the last {shown} of {} lines", lines.len()));
            say(&lines[lines.len() - shown..].join("\n"));
            say("    --- alive at the deadline, and stopped: process id, state, kernel wait, command");
            for line in alive {
                say(&format!("    {line}"));
            }
            format!("still running after {} s", limit.as_secs())
        }
    }
}

fn list(steps: &[Step]) {
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
    for line in table::lines(&columns, &rows) {
        say(&line);
    }
}

fn known_names(steps: &[Step]) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in steps.iter().flat_map(|step| [step.name.clone(), step.group.to_string()]) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Group;

    fn step(script: &str) -> Step {
        let command = Command::new("sh", "sh", ["-c", script]);
        Step::new("probe", Group::Text, Duration::from_secs(60), vec![command])
    }

    #[test]
    fn a_step_fails_with_its_command() {
        let report = perform(&step("echo because; exit 7")).unwrap();
        assert!(report.is_failure());
        assert_eq!(report.repro.as_deref(), Some("sh -c 'echo because; exit 7'"));
        assert!(!perform(&step("exit 0")).unwrap().is_failure());
    }

    #[test]
    fn a_step_that_overruns_fails() {
        let mut step = step("sleep 600");
        step.limit = Duration::from_millis(200);
        let report = perform(&step).unwrap();
        assert!(matches!(&report.verdict, Verdict::Failed(reason) if reason.contains("still running")));
    }

    #[test]
    fn tests_that_do_not_run_are_a_failure() {
        let ran = "echo 'test result: ok. 3 passed; 0 failed; 0 ignored'";
        assert!(!perform(&step(ran).proving(Proof::TestsRan)).unwrap().is_failure());
        let idle = "echo 'test result: ok. 0 passed; 0 failed; 0 ignored'";
        assert!(perform(&step(idle).proving(Proof::TestsRan)).unwrap().is_failure());
    }

    #[test]
    fn tests_that_skip_themselves_are_a_skipped_row() {
        let said = "echo 'SKIPPED a: no server'; echo 'test result: ok. 3 passed; 0 failed; 0 ignored'";
        let report = perform(&step(said).proving(Proof::TestsRan)).unwrap();
        assert_eq!(report.verdict, Verdict::Skipped("1 of 3 tests: SKIPPED a: no server".into()));
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
        // Of an earlier run that failed, in a container with the same process ids.
        let _ = std::fs::remove_file(&file);
        let touch = step(&format!("touch {}", file.display()));
        let steps = [step("exit 1"), touch];
        assert_eq!(run_steps("probe", &steps, false).unwrap(), ExitCode::FAILURE);
        assert!(!file.exists(), "the second step ran");
        assert_eq!(run_steps("probe", &steps, true).unwrap(), ExitCode::FAILURE);
        std::fs::remove_file(&file).unwrap();
    }
}
