//! What became of each step, and the account at the end.

use std::time::Duration;

use crate::{
    command::Command,
    step::Step,
    table::{self, Align},
};

/// The row of one step.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    pub(crate) took: Duration,
    pub(crate) tests: Option<Tests>,
    /// The command that failed, to be pasted.
    pub(crate) repro: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
    /// An earlier step failed.
    NotRun,
}

/// What the test runner itself said at its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tests {
    pub(crate) lines: Vec<String>,
    pub(crate) passed: u64,
    /// What tests said that could not do their work here: `SKIPPED name: reason`.
    pub(crate) skipped: Vec<String>,
}

impl Report {
    pub(crate) fn of(step: &Step, verdict: Verdict) -> Self {
        Self { name: step.name.clone(), verdict, took: Duration::ZERO, tests: None, repro: None }
    }

    pub(crate) fn failed(step: &Step, reason: String, took: Duration, command: &Command) -> Self {
        let repro = Some(command.to_string());
        Self { took, repro, ..Self::of(step, Verdict::Failed(reason)) }
    }

    pub(crate) fn is_failure(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_))
    }

    pub(crate) fn one_line(&self) -> String {
        let note = self.note();
        let separator = if note.is_empty() { "" } else { ": " };
        format!("{}{separator}{note} ({:.1} s)", self.word(), self.took.as_secs_f64())
    }

    fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Passed => "ok",
            Verdict::Failed(_) => "FAILED",
            Verdict::Skipped(_) => "SKIPPED",
            Verdict::NotRun => "not run",
        }
    }

    fn note(&self) -> String {
        match (&self.verdict, &self.tests) {
            (Verdict::Failed(reason) | Verdict::Skipped(reason), _) => reason.clone(),
            (Verdict::Passed, Some(tests)) => format!("{} tests passed", tests.passed),
            (Verdict::Passed | Verdict::NotRun, _) => String::new(),
        }
    }
}

impl Tests {
    /// Finds the closing lines of `cargo nextest run` and `cargo test`, and what tests said of themselves.
    pub(crate) fn read(output: &str) -> Self {
        let mut tests = Self::default();
        for line in output.lines() {
            if line.trim_start().starts_with("SKIPPED ") {
                tests.skipped.push(line.trim().to_owned());
            }
            // Indented like that by nextest; what a test says may look like either.
            let is_end = line.starts_with("test result: ") || line.starts_with("     Summary [");
            if let Some(passed) = number_before(line, " passed").filter(|_| is_end) {
                tests.passed += passed;
                tests.lines.push(line.trim().to_owned());
            }
        }
        tests
    }
}

/// The number that stands right before `word`.
fn number_before(line: &str, word: &str) -> Option<u64> {
    let (before, _) = line.split_once(word)?;
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The table, a line to repeat each failure, and one closing line.
pub(crate) fn account(title: &str, reports: &[Report], took: Duration) -> Vec<String> {
    let mut rows = vec![["step", "result", "seconds", "note"].map(str::to_owned).to_vec()];
    rows.extend(reports.iter().map(|report| {
        let seconds = match report.verdict {
            Verdict::Passed | Verdict::Failed(_) => format!("{:.1}", report.took.as_secs_f64()),
            Verdict::Skipped(_) | Verdict::NotRun => "-".to_owned(),
        };
        vec![report.name.clone(), report.word().to_owned(), seconds, report.note()]
    }));
    let mut lines = table::lines(&[Align::Left, Align::Left, Align::Right, Align::Left], &rows);
    lines.push(String::new());

    for report in reports.iter().filter(|report| report.is_failure()) {
        let fallback = format!("cargo xtask ci --only {}", report.name);
        lines.push(format!("repeat {}: {}", report.name, report.repro.as_ref().unwrap_or(&fallback)));
    }

    let count = |word: &str| reports.iter().filter(|report| report.word() == word).count();
    // A test that skipped itself ended well and proved nothing.
    let worked = |tests: &Tests| tests.passed.saturating_sub(tests.skipped.len() as u64);
    let tests: u64 = reports.iter().filter_map(|report| report.tests.as_ref()).map(worked).sum();
    lines.push(format!(
        "{title}: {} ok, {} failed, {} skipped, {} not run; {tests} tests passed; {:.1} s",
        count("ok"),
        count("FAILED"),
        count("SKIPPED"),
        count("not run"),
        took.as_secs_f64()
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Group;

    #[test]
    fn the_closing_lines_of_both_runners_are_read() {
        let output = "     Summary [   0.012s] 12 tests run: 12 passed, 3 skipped\n\
            test foo::9 passed ... ok\n\
            test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured\n\
            \x20   test result: ok. 7 passed; as a test may say\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\n";
        let tests = Tests::read(output);
        assert_eq!(tests.passed, 19);
        assert_eq!(tests.lines.len(), 3);
        assert_eq!(tests.lines[0], "Summary [   0.012s] 12 tests run: 12 passed, 3 skipped");
        assert_eq!(Tests::read("nothing here: 4 passed").passed, 0);
        assert_eq!(Tests::read("    SKIPPED a_test: no java\n").skipped, ["SKIPPED a_test: no java"]);
    }

    #[test]
    fn every_row_and_every_failure_is_in_the_account() {
        let step = |name: &str| Step::new(name, Group::Text, Duration::ZERO, Vec::new());
        let command = Command::cargo(["fmt"]);
        let mut passed = Report::of(&step("test"), Verdict::Passed);
        passed.tests = Some(Tests { passed: 5, skipped: vec!["SKIPPED one".into()], ..Tests::default() });
        let reports = [
            passed,
            Report::failed(&step("fmt"), "exit status: 1".into(), Duration::from_millis(1500), &command),
            Report::of(&step("deny"), Verdict::Skipped("cargo-deny is not installed".into())),
            Report::of(&step("doc"), Verdict::NotRun),
        ];
        let lines = account("ci", &reports, Duration::from_secs(2));
        assert_eq!(
            lines,
            [
                "step  result   seconds  note",
                "test  ok           0.0  5 tests passed",
                "fmt   FAILED       1.5  exit status: 1",
                "deny  SKIPPED        -  cargo-deny is not installed",
                "doc   not run        -",
                "",
                "repeat fmt: cargo fmt",
                "ci: 1 ok, 1 failed, 1 skipped, 1 not run; 4 tests passed; 2.0 s",
            ]
        );
    }
}
