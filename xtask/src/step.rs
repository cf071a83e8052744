//! One step of `cargo xtask ci`, as data.

use std::{fmt, time::Duration};

use crate::{command::Command, need::Need};

/// Something that must succeed.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Unique: `clippy`, `features/frame-codec`.
    pub(crate) name: String,
    pub(crate) group: Group,
    /// These run one after the other; the first that fails fails the step.
    pub(crate) commands: Vec<Command>,
    pub(crate) needs: Vec<Need>,
    /// For each command.
    pub(crate) limit: Duration,
    pub(crate) proof: Proof,
    /// Why there is nothing to run, if there is nothing.
    pub(crate) idle: Option<String>,
    /// Only with `--full`.
    pub(crate) is_heavy: bool,
}

/// The purpose of several steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Text,
    Lint,
    Test,
    Fuzz,
    Mutants,
    Docs,
    Features,
    Supply,
}

/// What a step must show besides succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    Success,
    /// At least one test ran: a runner that finds no test succeeds, too.
    TestsRan,
    /// At least one fuzz target was executed at least once in a second.
    Fuzzed,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Text => "text",
            Self::Lint => "lint",
            Self::Test => "tests",
            Self::Fuzz => "fuzzing",
            Self::Mutants => "mutation",
            Self::Docs => "docs",
            Self::Features => "features",
            Self::Supply => "supply",
        })
    }
}

impl Step {
    pub(crate) fn new(name: impl Into<String>, group: Group, limit: Duration, commands: Vec<Command>) -> Self {
        Self {
            name: name.into(),
            group,
            commands,
            needs: Vec::new(),
            limit,
            proof: Proof::Success,
            idle: None,
            is_heavy: false,
        }
    }

    pub(crate) fn needing(mut self, needs: &[Need]) -> Self {
        self.needs.extend_from_slice(needs);
        self
    }

    pub(crate) fn proving(mut self, proof: Proof) -> Self {
        self.proof = proof;
        self
    }

    pub(crate) fn heavy(mut self) -> Self {
        self.is_heavy = true;
        self
    }

    /// Keeps the step from running, with the reason; with `None` it runs.
    pub(crate) fn idle_because(mut self, reason: Option<String>) -> Self {
        self.idle = reason;
        self
    }

    /// Whether `word` of `--only` selects this step: its name, or its group's.
    pub(crate) fn answers_to(&self, word: &str) -> bool {
        self.name == word || self.group.to_string() == word
    }
}

/// The steps to run, and the names of those that are left out because they are heavy. A step that `only` names is never
/// left out.
///
/// # Errors
///
/// The words that match no step.
pub(crate) fn select(
    steps: Vec<Step>,
    only: Option<&str>,
    full: bool,
) -> Result<(Vec<Step>, Vec<String>), Vec<String>> {
    let Some(only) = only else {
        let (run, left_out): (Vec<_>, Vec<_>) = steps.into_iter().partition(|step| full || !step.is_heavy);
        return Ok((run, left_out.into_iter().map(|step| step.name).collect()));
    };
    let words: Vec<&str> = only.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let is_unknown = |word: &&&str| !steps.iter().any(|step| step.answers_to(word));
    let unknown: Vec<String> = words.iter().filter(is_unknown).map(|&word| word.to_owned()).collect();
    if !unknown.is_empty() || words.is_empty() {
        return Err(unknown);
    }
    let named = |step: &Step| words.iter().any(|word| step.answers_to(word));
    Ok((steps.into_iter().filter(named).collect(), Vec::new()))
}

/// The names of all steps and groups, each once.
pub(crate) fn names(steps: &[Step]) -> String {
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

    fn steps() -> Vec<Step> {
        [("fmt", Group::Text), ("features/a", Group::Features), ("features/b", Group::Features)]
            .map(|(name, group)| Step::new(name, group, Duration::ZERO, Vec::new()))
            .into()
    }

    fn names(only: &str) -> Vec<String> {
        select(steps(), Some(only), false).unwrap().0.into_iter().map(|step| step.name).collect()
    }

    #[test]
    fn steps_are_chosen_by_name_and_by_group() {
        assert_eq!(names("fmt, features/b"), ["fmt", "features/b"]);
        assert_eq!(names("features"), ["features/a", "features/b"]);
        assert_eq!(super::names(&steps()), "fmt, text, features/a, features, features/b");
    }

    #[test]
    fn a_word_that_names_nothing_is_an_error() {
        assert_eq!(select(steps(), Some("fmt,nosuch"), false).unwrap_err(), ["nosuch"]);
        assert!(select(steps(), Some(","), false).unwrap_err().is_empty());
    }

    #[test]
    fn heavy_steps_are_left_out_by_name_unless_they_are_asked_for() {
        let steps = || steps().into_iter().map(|step| if step.name == "fmt" { step.heavy() } else { step }).collect();
        let (run, left_out) = select(steps(), None, false).unwrap();
        assert_eq!((run.len(), left_out), (2, vec!["fmt".to_owned()]));
        assert_eq!(select(steps(), None, true).unwrap().0.len(), 3);
        assert_eq!(select(steps(), Some("fmt"), false).unwrap().0.len(), 1);
    }
}
