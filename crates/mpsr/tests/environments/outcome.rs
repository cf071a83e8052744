//! What became of a command in an environment.

use std::fmt;

use serde_json::{Value, json};

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything that the scenario asserts held.
    Works,
    /// The command ended by itself with this status; standard error says this. As an expectation, a part of it.
    Fails { status: i32, text: String },
    /// The command ran, and this is what differs from a plain machine. As an expectation, a part of it.
    Differs(String),
    /// Only expected: that it does not work, and that a failure says why.
    NotWithout,
}

impl Outcome {
    pub(crate) const fn works() -> Self {
        Self::Works
    }

    /// Whether what was seen is what was expected.
    pub(crate) fn matches(&self, seen: &Self) -> bool {
        match (self, seen) {
            (Self::Works, Self::Works) => true,
            (Self::Fails { status, text }, Self::Fails { status: seen_status, text: seen_text }) => {
                status == seen_status && !seen_text.trim().is_empty() && seen_text.contains(text)
            }
            (Self::Differs(what), Self::Differs(seen)) => seen.contains(what),
            (Self::NotWithout, Self::Fails { status: 1, text }) => !text.trim().is_empty(),
            (Self::NotWithout, Self::Differs(_)) => true,
            _ => false,
        }
    }

    pub(crate) fn to_line(&self) -> String {
        let value = match self {
            Self::Works => json!({}),
            Self::Fails { status, text } => json!({ "status": status, "text": text }),
            Self::Differs(what) => json!({ "differs": what }),
            Self::NotWithout => unreachable!("this is only expected"),
        };
        format!("OUTCOME {value}")
    }

    pub(crate) fn from_lines(lines: &str) -> Option<Self> {
        let line = lines.lines().find_map(|line| line.split_once("OUTCOME ").map(|(_, json)| json))?;
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |field: &str| value[field].as_str().map(str::to_owned);
        Some(match (value["status"].as_i64(), text("differs")) {
            (Some(status), _) => Self::Fails { status: status.try_into().ok()?, text: text("text")? },
            (None, Some(what)) => Self::Differs(what),
            (None, None) => Self::Works,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works => f.write_str("that it works"),
            Self::Fails { status, text } => write!(f, "exit status {status} with {text:?}"),
            Self::Differs(what) => write!(f, "a difference: {what}"),
            Self::NotWithout => f.write_str("that it asks for an option"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_survives_the_way_out_of_the_environment() {
        for outcome in [
            Outcome::Works,
            Outcome::Fails { status: 1, text: "mpsr: \"no\"\nroom".to_owned() },
            Outcome::Differs("unknown, stale".to_owned()),
        ] {
            assert_eq!(Outcome::from_lines(&format!("noise\n{}\nnoise", outcome.to_line())), Some(outcome));
        }
    }

    #[test]
    fn a_failure_without_words_is_not_the_failure_that_was_expected() {
        let expected = Outcome::Fails { status: 1, text: String::new() };
        assert!(!expected.matches(&Outcome::Fails { status: 1, text: "\n".to_owned() }));
        assert!(expected.matches(&Outcome::Fails { status: 1, text: "why".to_owned() }));
        assert!(!expected.matches(&Outcome::Fails { status: 101, text: "why".to_owned() }));
        assert!(!Outcome::Works.matches(&Outcome::Differs("unknown".to_owned())));
    }
}
