//! How each step ended, and the table at the end.

use std::time::Duration;

use regex_lite::Regex;

use crate::step::Step;

/// The row of one step.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    pub(crate) took: Duration,
    pub(crate) cpu: Duration,
    pub(crate) facts: Facts,
    /// The command that failed, for pasting.
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

/// What test runners and fuzzers print at their end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) summaries: Vec<String>,
    pub(crate) passed: u64,
    /// The lines of tests that could not run here: `SKIPPED name: reason`.
    pub(crate) skipped: Vec<String>,
    /// How many changes to the code were tested.
    pub(crate) mutants: u64,
    /// Executions per second of each fuzz target.
    pub(crate) rates: Vec<u64>,
}

impl Report {
    pub(crate) fn of(step: &Step, verdict: Verdict) -> Self {
        let name = step.name.clone();
        Self { name, verdict, took: Duration::ZERO, cpu: Duration::ZERO, facts: Facts::default(), repro: None }
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
        match &self.verdict {
            Verdict::Failed(reason) | Verdict::Skipped(reason) => reason.clone(),
            Verdict::Passed if self.facts.passed > 0 => format!("{} tests passed", self.facts.passed),
            Verdict::Passed => self.facts.speed(),
            Verdict::NotRun => String::new(),
        }
    }
}

impl Facts {
    /// Finds the closing lines of `cargo nextest run`, `cargo test`, libFuzzer and cargo-mutants, and the `SKIPPED` lines of
    /// tests.
    pub(crate) fn read(&mut self, output: &str) {
        self.read_skipped(output);
        let numbers = |pattern: &str| {
            let pattern = Regex::new(pattern).expect("it is a regular expression");
            let found =
                pattern.captures_iter(output).map(|found| (found[0].trim().to_owned(), found[1].parse::<u64>()));
            found.filter_map(|(line, number)| Some((line, number.ok()?))).collect::<Vec<_>>()
        };
        for (pattern, sum) in [
            // nextest indents it like this; output of a test may look like either.
            (r"(?m)^(?:test result: |     Summary \[).*?(\d+) passed.*$", &mut self.passed),
            (r"(?m)^(\d+) mutants? tested.*$", &mut self.mutants),
        ] {
            for (line, number) in numbers(pattern) {
                *sum += number;
                self.summaries.push(line);
            }
        }
        let rates = numbers(r"(?m)^stat::average_exec_per_sec: *(\d+)").into_iter();
        self.rates.extend(rates.map(|(_, rate)| rate).filter(|&rate| rate > 0));
    }

    /// Finds the `SKIPPED` lines in nextest's JUnit file, which has what each test has printed.
    pub(crate) fn read_junit(&mut self, xml: &str) {
        let text =
            xml.replace("system-out>", "system-err>").replace("</system-err>", "\n").replace("<system-err>", "\n");
        let entities = [("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&quot;", "\""), ("&amp;", "&")];
        self.read_skipped(&entities.iter().fold(text, |text, (from, to)| text.replace(from, to)));
    }

    fn read_skipped(&mut self, output: &str) {
        let said = output.lines().map(str::trim);
        let skipped = said.filter(|line| line.starts_with("SKIPPED ") || line.starts_with("SKIPPED:"));
        self.skipped.extend(skipped.map(str::to_owned));
    }

    fn speed(&self) -> String {
        let range = self.rates.iter().min().zip(self.rates.iter().max());
        range.map_or(String::new(), |(least, most)| format!("{least} to {most} executions per second"))
    }
}

/// Rows as lines, with two spaces between columns and none at the end. `columns` has an `l` or an `r` for each column: its
/// alignment. A row may have fewer cells.
pub(crate) fn lines(columns: &str, rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<(char, usize)> = columns.chars().enumerate().map(|(at, c)| (c, width(at).unwrap_or(0))).collect();
    let cell = |(text, &(align, width)): (&String, &(char, usize))| match align {
        'l' => format!("{text:<width$}"),
        _ => format!("{text:>width$}"),
    };
    let line =
        |row: &Vec<String>| row.iter().zip(&widths).map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned();
    rows.iter().map(line).collect()
}

/// The table, a line to repeat each failure, and one closing line.
pub(crate) fn table(title: &str, reports: &[Report], took: Duration) -> Vec<String> {
    let mut rows = vec![["step", "result", "seconds", "cpu", "note"].map(str::to_owned).to_vec()];
    rows.extend(reports.iter().map(|report| {
        let has_run = report.took > Duration::from_millis(50) || report.repro.is_some();
        let seconds = |time: Duration| if has_run { format!("{:.1}", time.as_secs_f64()) } else { "-".to_owned() };
        vec![report.name.clone(), report.word().to_owned(), seconds(report.took), seconds(report.cpu), report.note()]
    }));
    let mut lines = lines("llrrl", &rows);
    lines.push(String::new());

    for report in reports.iter().filter(|report| report.is_failure()) {
        let fallback = format!("cargo xtask ci --only {}", report.name);
        lines.push(format!("repeat {}: {}", report.name, report.repro.as_ref().unwrap_or(&fallback)));
    }

    let count = |word: &str| reports.iter().filter(|report| report.word() == word).count();
    // A test that skipped itself succeeded and proved nothing.
    let tests: u64 =
        reports.iter().map(|report| report.facts.passed.saturating_sub(report.facts.skipped.len() as u64)).sum();
    let cpu: Duration = reports.iter().map(|report| report.cpu).sum();
    lines.push(format!(
        "{title}: {} ok, {} failed, {} skipped, {} not run; {tests} tests passed; {:.1} s, {:.1} s of CPU",
        count("ok"),
        count("FAILED"),
        count("SKIPPED"),
        count("not run"),
        took.as_secs_f64(),
        cpu.as_secs_f64()
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Facts {
        let mut facts = Facts::default();
        facts.read(output);
        facts
    }

    #[test]
    fn the_closing_lines_of_both_runners_are_read() {
        let output = "     Summary [   0.012s] 12 tests run: 12 passed, 3 skipped\n\
            test foo::9 passed ... ok\n\
            test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured\n\
            \x20   test result: ok. 7 passed; as a test may say\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\n";
        let facts = read(output);
        assert_eq!(facts.passed, 19);
        assert_eq!(facts.summaries.len(), 3);
        assert_eq!(facts.summaries[0], "Summary [   0.012s] 12 tests run: 12 passed, 3 skipped");
        assert_eq!(read("nothing here: 4 passed").passed, 0);
        assert_eq!(read("    SKIPPED a_test: no java\nSKIPPEDLY\n").skipped, ["SKIPPED a_test: no java"]);
        assert_eq!(read("1 mutant tested in 3s: 1 caught\n").mutants, 1);
        assert_eq!(read("    SKIPPED: no redis\n").skipped, ["SKIPPED: no redis"]);
    }

    #[test]
    fn the_speed_of_a_fuzzer_is_read() {
        let two = read("#2\tpulse\nstat::average_exec_per_sec:     12000\nstat::average_exec_per_sec: 900\n");
        assert_eq!(two.speed(), "900 to 12000 executions per second");
        assert_eq!(read("stat::average_exec_per_sec: 0\n").rates, [0; 0]);
    }

    #[test]
    fn every_row_and_every_failure_is_in_the_table() {
        let report = |name: &str, verdict, seconds: f64| {
            let step = Step { name: name.into(), ..Step::default() };
            let took = Duration::from_secs_f64(seconds);
            Report { took, cpu: took * 2, ..Report::of(&step, verdict) }
        };
        let facts = Facts { passed: 5, skipped: vec!["SKIPPED one".into()], ..Facts::default() };
        let failed = report("fmt", Verdict::Failed("exit status: 1".into()), 1.5);
        let reports = [
            Report { facts, ..report("test", Verdict::Passed, 0.1) },
            Report { repro: Some("cargo fmt".into()), ..failed },
            report("deny", Verdict::Skipped("cargo-deny is not installed".into()), 0.0),
            report("doc", Verdict::NotRun, 0.0),
        ];
        let lines = table("ci", &reports, Duration::from_secs(2));
        assert_eq!(
            lines,
            [
                "step  result   seconds  cpu  note",
                "test  ok           0.1  0.2  5 tests passed",
                "fmt   FAILED       1.5  3.0  exit status: 1",
                "deny  SKIPPED        -    -  cargo-deny is not installed",
                "doc   not run        -    -",
                "",
                "repeat fmt: cargo fmt",
                "ci: 1 ok, 1 failed, 1 skipped, 1 not run; 4 tests passed; 2.0 s, 3.2 s of CPU",
            ]
        );
    }
}
