//! The program behind `cargo xtask demo`.
//!
//! Exit codes: 0 every line arrived once and in order; 1 it did not; 2 wrong usage.

use std::{
    env,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use tributary_tests::demo::{
    self, Options,
    screen::{Manner, Screen},
};

const USAGE: &str = "usage: demo --mpsr PATH [--sources DIR] [--timeout SECONDS]";
const DEFAULT_LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let options = match options(env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            complain(&format!("{problem}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    let out = io::stdout();
    let live = out.is_terminal();
    let colour = live
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb");
    let mut screen = Screen::new(out, Manner { live, colour });

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(demo::run(&options, &mut screen)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(problems) if problems.is_empty() => match screen.say("every line arrived exactly once and in order") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Ok(problems) => {
            for problem in &problems {
                complain(&format!("WRONG {problem}"));
            }
            complain(&format!("demo: {} problems", problems.len()));
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&format!("demo: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut mpsr, mut sources, mut limit) = (None, None, DEFAULT_LIMIT);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--mpsr" => mpsr = Some(PathBuf::from(value)),
            "--sources" => sources = Some(PathBuf::from(value)),
            "--timeout" => match value.parse() {
                Ok(seconds @ 1..) => limit = Duration::from_secs(seconds),
                _ => return Err(format!("{value:?} is not a number of seconds")),
            },
            _ => return Err(format!("unknown option {flag:?}")),
        }
    }
    Ok(Options {
        mpsr: mpsr.ok_or("--mpsr is missing")?,
        sources: sources.unwrap_or_else(|| PathBuf::from(".")),
        limit,
    })
}

/// A line on standard error. If it cannot be read, the exit code still says enough.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        options(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let options = parse("--mpsr /x/mpsr --timeout 7").unwrap();
        assert_eq!(options.mpsr, PathBuf::from("/x/mpsr"));
        assert_eq!(options.limit, Duration::from_secs(7));
    }

    #[test]
    fn wrong_usage_is_told() {
        for line in ["", "--mpsr", "--mpsr a --timeout 0", "--mpsr a --timeout x", "--mpsr a --loud b"] {
            assert!(parse(line).is_err(), "accepted {line:?}");
        }
    }
}
