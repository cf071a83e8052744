//! One step of `cargo xtask ci`, as `xtask/steps.toml` has it.

use std::time::Duration;

use serde::Deserialize;

/// Something that must succeed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Step {
    /// Unique.
    pub(crate) name: String,
    /// The purpose of several steps.
    pub(crate) group: String,
    /// Lines for a shell. They run one after the other; the first that fails fails the step.
    pub(crate) run: Vec<String>,
    /// Names of tools.
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    /// For each command.
    pub(crate) minutes: f64,
    pub(crate) proof: Option<Proof>,
    /// The last command must fail, and its output must match.
    pub(crate) must_fail: Option<String>,
    /// Exit codes that are a success, too.
    #[serde(default)]
    pub(crate) fine: Vec<i32>,
    /// Only with `--full`.
    #[serde(default)]
    pub(crate) heavy: bool,
}

/// What a step must show besides succeeding: a runner that finds no test succeeds, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Proof {
    Tests,
    Fuzzed,
    Mutants,
}

impl Step {
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }

    pub(crate) fn with_limit(mut self, limit: Duration) -> Self {
        self.minutes = limit.as_secs_f64() / 60.0;
        self
    }

    /// Whether `word` of `--only` selects this step: its name, or its group's.
    fn answers_to(&self, word: &str) -> bool {
        self.name == word || self.group == word
    }
}

/// The steps to run, and the names of those that are left out because they are heavy. A step that `only` names is never
/// left out.
///
/// # Errors
///
/// The words that match no step.
pub(crate) fn select(steps: Vec<Step>, only: Option<&str>, full: bool) -> Result<(Vec<Step>, Vec<String>), String> {
    let Some(only) = only else {
        let (run, left_out): (Vec<_>, Vec<_>) = steps.into_iter().partition(|step| full || !step.heavy);
        return Ok((run, left_out.into_iter().map(|step| step.name).collect()));
    };
    let words: Vec<&str> = only.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let is_unknown = |word: &&&str| !steps.iter().any(|step| step.answers_to(word));
    let unknown: Vec<&str> = words.iter().filter(is_unknown).copied().collect();
    if !unknown.is_empty() || words.is_empty() {
        return Err(if words.is_empty() { "(nothing)".to_owned() } else { unknown.join(", ") });
    }
    let named = |step: &Step| words.iter().any(|word| step.answers_to(word));
    Ok((steps.into_iter().filter(named).collect(), Vec::new()))
}

/// The names of all steps and groups, each once.
pub(crate) fn names(steps: &[Step]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in steps.iter().flat_map(|step| [&step.name, &step.group]) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<Step> {
        let step = |(name, group, heavy): (&str, &str, bool)| Step {
            name: name.into(),
            group: group.into(),
            heavy,
            ..Step::default()
        };
        [("fmt", "text", true), ("loom", "tests", false), ("prop", "tests", false)].map(step).into()
    }

    #[test]
    fn steps_are_chosen_by_name_and_by_group() {
        let chosen = |only: &str| {
            let (chosen, _) = select(steps(), Some(only), false).unwrap();
            chosen.into_iter().map(|step| step.name).collect::<Vec<_>>()
        };
        assert_eq!(chosen("fmt, prop"), ["fmt", "prop"]);
        assert_eq!(chosen("tests"), ["loom", "prop"]);
        assert_eq!(names(&steps()), "fmt, text, loom, tests, prop");
        assert_eq!(select(steps(), Some("fmt,nosuch"), false).unwrap_err(), "nosuch");
        assert_eq!(select(steps(), Some(","), false).unwrap_err(), "(nothing)");
    }

    #[test]
    fn heavy_steps_are_left_out_by_name_unless_they_are_asked_for() {
        let (run, left_out) = select(steps(), None, false).unwrap();
        assert_eq!((run.len(), left_out), (2, vec!["fmt".to_owned()]));
        assert_eq!(select(steps(), None, true).unwrap().0.len(), 3);
    }
}
