//! A command as data: what to run, and the line that you can paste to run it again.

use std::{
    ffi::OsString,
    fmt::{self, Write},
    process,
    time::Duration,
};

use crate::workspace;

/// A program, its arguments, and the variables it gets in addition to our own.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    program: OsString,
    /// The name of the program in the pasted line.
    shown_as: String,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Command {
    /// `cargo`: the one that runs us.
    pub(crate) fn cargo(arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new(workspace::cargo(), "cargo", arguments)
    }

    /// This program itself, with other arguments.
    pub(crate) fn xtask(arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let program = std::env::current_exe().map_or_else(|_| "xtask".into(), OsString::from);
        Self::new(program, "cargo xtask", arguments)
    }

    pub(crate) fn new(
        program: impl Into<OsString>,
        shown_as: &str,
        arguments: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            program: program.into(),
            shown_as: shown_as.to_owned(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            variables: Vec::new(),
        }
    }

    pub(crate) fn with_variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Adds arguments before a `--` if there is one, at the end otherwise.
    pub(crate) fn with_arguments(mut self, more: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let at = self.arguments.iter().position(|argument| argument == "--").unwrap_or(self.arguments.len());
        self.arguments.splice(at..at, more.into_iter().map(Into::into));
        self
    }

    /// The process, which is told to stop after `limit`, and killed if it has not done so `grace` later.
    pub(crate) fn to_process(&self, limit: Duration, grace: Duration) -> process::Command {
        let mut command = process::Command::new("timeout");
        command.arg("--foreground").arg(format!("--kill-after={}", grace.as_secs_f64()));
        command.arg(limit.as_secs_f64().to_string()).arg(&self.program).args(&self.arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The line to paste into a shell, from the repository's root.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.variables {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str(&self.shown_as)?;
        for argument in &self.arguments {
            f.write_char(' ')?;
            f.write_str(&quoted(argument))?;
        }
        Ok(())
    }
}

/// `word` as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_line_can_be_pasted() {
        let command = Command::cargo(["doc", "it's", "", "--", "-D"])
            .with_variable("RUSTDOCFLAGS", "-D warnings")
            .with_arguments(["--locked"]);
        assert_eq!(command.to_string(), r"RUSTDOCFLAGS='-D warnings' cargo doc 'it'\''s' '' --locked -- -D");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let words = ["plain", "two words", "it's", "$HOME `id` \"x\"", "a\nb", "*"];
        for word in words {
            let script = format!("printf %s {}", quoted(word));
            let output = process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
