//! One step of `cargo xtask ci`, as data.

use std::{fmt, time::Duration};

use crate::{command::Command, need::Need};

/// Something that must succeed.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Unique: `clippy`, `features/frame-codec`.
    pub(crate) name: String,
    pub(crate) group: Group,
    /// Run one after the other; the first that fails fails the step.
    pub(crate) commands: Vec<Command>,
    pub(crate) needs: Vec<Need>,
    /// For each command.
    pub(crate) limit: Duration,
    pub(crate) proof: Proof,
    /// Why there is nothing to run, when there is nothing to run.
    pub(crate) idle: Option<String>,
}

/// What several steps are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Text,
    Lint,
    Test,
    Fuzz,
    Docs,
    Features,
    Supply,
}

/// What a step must show besides ending well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    Success,
    /// At least one test ran: a runner that found nothing ends well too.
    TestsRan,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Text => "text",
            Self::Lint => "lint",
            Self::Test => "tests",
            Self::Fuzz => "fuzzing",
            Self::Docs => "docs",
            Self::Features => "features",
            Self::Supply => "supply",
        })
    }
}

impl Step {
    pub(crate) fn new(name: impl Into<String>, group: Group, limit: Duration, commands: Vec<Command>) -> Self {
        Self { name: name.into(), group, commands, needs: Vec::new(), limit, proof: Proof::Success, idle: None }
    }

    pub(crate) fn needing(mut self, needs: &[Need]) -> Self {
        self.needs.extend_from_slice(needs);
        self
    }

    pub(crate) fn proving(mut self, proof: Proof) -> Self {
        self.proof = proof;
        self
    }

    /// Whether `word` of `--only` means this step: its name, or its group's.
    pub(crate) fn answers_to(&self, word: &str) -> bool {
        self.name == word || self.group.to_string() == word
    }
}

/// The steps that `only` names, all of them without it.
///
/// # Errors
///
/// The words that name nothing.
pub(crate) fn select(steps: Vec<Step>, only: Option<&str>) -> Result<Vec<Step>, Vec<String>> {
    let Some(only) = only else { return Ok(steps) };
    let words: Vec<&str> = only.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let unknown: Vec<String> = words
        .iter()
        .filter(|word| !steps.iter().any(|step| step.answers_to(word)))
        .map(|&word| word.to_owned())
        .collect();
    if !unknown.is_empty() || words.is_empty() {
        return Err(unknown);
    }
    Ok(steps.into_iter().filter(|step| words.iter().any(|word| step.answers_to(word))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<Step> {
        [("fmt", Group::Text), ("features/a", Group::Features), ("features/b", Group::Features)]
            .map(|(name, group)| Step::new(name, group, Duration::ZERO, Vec::new()))
            .into()
    }

    fn names(only: &str) -> Vec<String> {
        select(steps(), Some(only)).unwrap().into_iter().map(|step| step.name).collect()
    }

    #[test]
    fn steps_are_chosen_by_name_and_by_group() {
        assert_eq!(names("fmt, features/b"), ["fmt", "features/b"]);
        assert_eq!(names("features"), ["features/a", "features/b"]);
        assert_eq!(select(steps(), None).unwrap().len(), 3);
    }

    #[test]
    fn a_word_that_names_nothing_is_an_error() {
        assert_eq!(select(steps(), Some("fmt,nosuch")).unwrap_err(), ["nosuch"]);
        assert!(select(steps(), Some(",")).unwrap_err().is_empty());
    }
}
