//! A process for one test.
//!
//! nextest runs each test in a separate process, `cargo test` runs all tests of a program in one. A test that lowers a
//! limit of the process, or counts its threads, descriptors or memory, needs the former: it begins with
//! [`alone!`](crate::alone!).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what the other process has said")]

use std::{env, process::Command};

/// Names the test that a process was started for.
const ALONE: &str = "TEST_KIT_ALONE";

/// Returns from the test if it shares its process, after it has passed in a separate process.
#[macro_export]
macro_rules! alone {
    () => {
        fn here() {}
        if $crate::alone::has_passed_elsewhere(::std::any::type_name_of_val(&here)) {
            return;
        }
    };
}

/// Runs the test that `place` is in, by itself, unless that is how it runs already.
///
/// `place` is the path of a function in the test: `it::module::test::here`, with `{{closure}}` before `here` if the test
/// is async.
///
/// # Panics
///
/// If the test fails.
pub fn has_passed_elsewhere(place: &str) -> bool {
    let test: Vec<&str> = place.split("::").skip(1).filter(|part| *part != "{{closure}}" && *part != "here").collect();
    let test = test.join("::");
    let is_under_nextest = env::var("NEXTEST_EXECUTION_MODE").is_ok_and(|mode| mode == "process-per-test");
    if is_under_nextest || env::var(ALONE).is_ok_and(|alone| alone == test) {
        return false;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([&*test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"]).env(ALONE, &test);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{test} fails in a process of its own");
    true
}

#[cfg(test)]
mod tests {
    use std::process;

    /// Where the next test writes which process it ran in.
    const PID: &str = "TEST_KIT_PID";

    #[test]
    fn a_test_that_shares_its_process_runs_in_another() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let mut command = process::Command::new(std::env::current_exe().unwrap());
        command.args(["alone::tests::writes_its_pid", "--exact", "--ignored"]).env(PID, &file);
        let mut child = command.env_remove("NEXTEST_EXECUTION_MODE").stdout(process::Stdio::null()).spawn().unwrap();
        assert!(child.wait().unwrap().success());
        let pid: u32 = std::fs::read_to_string(file).unwrap().parse().unwrap();
        assert!(pid != child.id() && pid != process::id());
    }

    #[test]
    #[ignore = "a role of `a_test_that_shares_its_process_runs_in_another`"]
    fn writes_its_pid() {
        alone!();
        let file = std::env::var_os(PID).unwrap();
        assert!(!std::fs::exists(&file).unwrap(), "it runs once");
        std::fs::write(file, process::id().to_string()).unwrap();
    }
}
