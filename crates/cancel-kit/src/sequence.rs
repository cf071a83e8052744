//! What was lost and what was doubled, for outcomes that are sequences.

use std::fmt;

/// How one sequence differs from another, see [`difference`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference<T> {
    /// Expected and not found. An item is listed as often as it is missing.
    pub lost: Vec<T>,
    /// Found more often than expected. An item is listed as often as it is superfluous.
    pub doubled: Vec<T>,
    /// Nothing is lost or doubled, but the order differs.
    pub reordered: bool,
}

/// Compares the messages that should arrive with those that did. Use it for scenarios with many messages, or with an
/// order that may vary: let them return the difference.
///
/// ```
/// use cancel_kit::difference;
///
/// let difference = difference(&["a", "b", "c"], &["a", "a", "c"]);
/// assert_eq!((difference.lost, difference.doubled), (vec!["b"], vec!["a"]));
/// ```
#[must_use]
pub fn difference<T: PartialEq + Clone>(expected: &[T], found: &[T]) -> Difference<T> {
    let lost = without(expected, found);
    let doubled = without(found, expected);
    let reordered = lost.is_empty() && doubled.is_empty() && expected != found;
    Difference { lost, doubled, reordered }
}

/// What is left of `all` after each of `others` has removed one equal item.
fn without<T: PartialEq + Clone>(all: &[T], others: &[T]) -> Vec<T> {
    let mut left = all.to_vec();
    for other in others {
        if let Some(at) = left.iter().rposition(|one| one == other) {
            left.remove(at);
        }
    }
    left
}

impl<T> Difference<T> {
    /// Whether there is no difference.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty() && !self.reordered
    }
}

impl<T: fmt::Debug> fmt::Display for Difference<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("nothing lost or doubled");
        }
        if self.reordered {
            return f.write_str("in another order");
        }
        write!(f, "lost {:?}, doubled {:?}", self.lost, self.doubled)
    }
}
