//! The tools that steps need (`xtask/tools.toml`), and `cargo xtask doctor`: what this machine has, what it lacks, and the line
//! that installs it.

use std::{
    env,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{console::say, report};

/// A tool that may be missing, or a setting of the machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Tool {
    pub(crate) name: String,
    probe: String,
    /// The exact line that installs it.
    install: String,
    purpose: String,
    /// Whether a builder must have it. Then its absence is a failure.
    #[serde(default)]
    pub(crate) in_ci: bool,
    #[serde(default)]
    vital: bool,
}

pub(crate) fn all() -> Result<Vec<Tool>> {
    #[derive(Deserialize)]
    struct Table {
        tool: Vec<Tool>,
    }
    Ok(toml::from_str::<Table>(include_str!("../tools.toml")).context("xtask/tools.toml")?.tool)
}

/// Whether the tool of this name is there.
pub(crate) fn has(name: &str) -> Result<bool> {
    Ok(find(name)?.version().is_some())
}

pub(crate) fn find(name: &str) -> Result<Tool> {
    all()?.into_iter().find(|tool| tool.name == name).with_context(|| format!("xtask/tools.toml has no {name}"))
}

impl Tool {
    /// What the probe says, if it succeeds: the first line with a number in it.
    pub(crate) fn version(&self) -> Option<String> {
        let output =
            Command::new("sh").args(["-c", &self.probe]).output().ok().filter(|output| output.status.success())?;
        // Java prints it to standard error.
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let has_number = |line: &&str| line.contains(|c: char| c.is_ascii_digit());
        Some(said.lines().find(has_number).or(said.lines().next()).unwrap_or("there").trim().to_owned())
    }

    /// `cargo-deny is not installed: cargo install --locked cargo-deny`
    pub(crate) fn complaint(&self) -> String {
        format!("{} is not installed: {}", self.name, self.install)
    }
}

/// Whether a builder runs us, by the variable that all of them set.
pub(crate) fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

pub(crate) fn doctor() -> Result<ExitCode> {
    let (mut rows, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for tool in all()? {
        let (state, text) = match tool.version() {
            Some(found) => ("ok", format!("{found}; {}", tool.purpose)),
            None => (if tool.vital { "MISSING" } else { "missing" }, format!("{}   ({})", tool.install, tool.purpose)),
        };
        if state == "MISSING" {
            code = ExitCode::FAILURE;
        }
        rows.push(vec![tool.name, state.to_owned(), text]);
    }
    report::lines("lll", &rows).iter().for_each(|line| say(line));
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found_and_nonsense_is_not() {
        assert!(find("rustc").unwrap().version().unwrap().starts_with("rustc 1."));
        let absent = Tool { probe: "no-such-program-here --version".into(), ..find("cargo-deny").unwrap() };
        assert_eq!(absent.version(), None);
        assert_eq!(absent.complaint(), "cargo-deny is not installed: cargo install --locked cargo-deny");
    }

    #[test]
    fn every_probe_is_a_command() {
        for tool in all().unwrap() {
            let syntax = Command::new("sh").args(["-n", "-c", &tool.probe]).status().unwrap();
            assert!(syntax.success() && !tool.install.is_empty(), "{}", tool.name);
        }
    }
}
