//! Programs of other projects, found when a test runs.

use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::running::finish;

/// Says that this test could not do its work for want of something that can be installed.
///
/// # Panics
///
/// Under `CI=true`, where everything has to be there.
fn skip(test: &str, reason: &str) {
    assert!(env::var("CI").as_deref() != Ok("true"), "{test}: {reason}");
    skip_forbidden(test, reason);
}

/// Says, where `cargo xtask ci` reads it, that this test could not do its work because it is not allowed to: a container's
/// rules, or not being root, are no mistake of the builder's.
pub(crate) fn skip_forbidden(test: &str, reason: &str) {
    // Past the capture of the test harness. If even this cannot be written, there is no reader.
    drop(writeln!(io::stderr(), "SKIPPED {test}: {reason}"));
}

/// Where this program is; without it the test is skipped.
pub(crate) fn find_or_skip(test: &str, program: &str) -> Option<PathBuf> {
    let found = find(program);
    if found.is_none() {
        skip(test, &format!("there is no {program} on this machine"));
    }
    found
}

fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// A netcat that speaks to Unix sockets and can end its side.
pub(crate) fn netcat_or_skip(test: &str) -> Option<PathBuf> {
    let found = find("nc").filter(|nc| {
        let help = finish(Command::new(nc).arg("-h"), b"");
        let words = help.stderr + &String::from_utf8_lossy(&help.stdout);
        // The usage line has the flags that take no argument in one word.
        words.split_whitespace().any(|word| word.starts_with("[-") && word.contains('U') && word.contains('N'))
    });
    if found.is_none() {
        skip(test, "there is no nc with -U and -N on this machine (netcat-openbsd has them)");
    }
    found
}

/// `python3 -c PROGRAM ARGUMENTS...`
pub(crate) fn python(python: &Path, program: &str, arguments: &[&Path]) -> Command {
    let mut command = Command::new(python);
    // Without the site's packages it starts in half the time.
    command.args(["-I", "-S", "-c", program]).args(arguments).stdin(Stdio::null());
    command
}

/// `socat - UNIX-CONNECT:PATH`
pub(crate) fn socat(socat: &Path, path: &Path) -> Command {
    let mut command = Command::new(socat);
    command.arg("-").arg(format!("UNIX-CONNECT:{}", path.display()));
    command
}
