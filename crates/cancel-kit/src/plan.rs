//! When futures are dropped.

use std::fmt;

/// When the futures of a scenario are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Plan {
    /// Not at all: this run determines the expected outcome.
    Never,
    /// Each is made and dropped without a poll, then made again and allowed to finish.
    Unpolled,
    /// Each is dropped if it is still pending after this many polls (at least 1), and made again.
    After(u64),
    /// One future of the run is dropped: the one that is pending after this poll, counting the polls of all futures
    /// from 1.
    Once(u64),
}

impl Plan {
    /// Whether to drop a future that is pending after `own` polls of its own, the last of which was poll number
    /// `total`.
    pub(crate) const fn drops(self, own: u64, total: u64) -> bool {
        match self {
            Self::Never | Self::Unpolled => false,
            Self::After(polls) => own >= polls,
            Self::Once(poll) => total == poll,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("no future dropped"),
            Self::Unpolled => f.write_str("every future dropped once without a poll"),
            Self::After(1) => f.write_str("every future dropped after 1 poll"),
            Self::After(polls) => write!(f, "every future dropped after {polls} polls"),
            Self::Once(poll) => write!(f, "one future dropped, at poll {poll} of the run"),
        }
    }
}

/// The plans of one check, simplest first, so that a mistake is found in its simplest form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plans {
    last: Plan,
    /// Whether periods are tried.
    periods: bool,
    /// Polls of the run without drops.
    polls: u64,
}

impl Plans {
    pub(crate) const fn new(periods: bool, polls: u64) -> Self {
        Self { last: Plan::Never, periods, polls }
    }

    /// The plan after the last one, which dropped `dropped` futures.
    ///
    /// ```text
    ///   Never ─▶ Unpolled ─▶ Once(1) … Once(polls) ─▶ After(1) … until nothing was dropped
    /// ```
    pub(crate) fn next(&mut self, dropped: u64) -> Option<Plan> {
        let next = match self.last {
            Plan::Never => Some(Plan::Unpolled),
            Plan::Unpolled => self.once(1),
            Plan::Once(poll) => self.once(poll + 1),
            Plan::After(polls) => (dropped > 0).then_some(Plan::After(polls + 1)),
        };
        self.last = next.unwrap_or(self.last);
        next
    }

    fn once(self, poll: u64) -> Option<Plan> {
        if poll <= self.polls { Some(Plan::Once(poll)) } else { self.periods.then_some(Plan::After(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_tried_and_then_every_period_until_nothing_is_dropped() {
        let mut plans = Plans::new(true, 2);
        let listed: Vec<_> = [0, 0, 1, 1, 9, 4, 0].into_iter().map_while(|dropped| plans.next(dropped)).collect();
        assert_eq!(
            listed,
            [Plan::Unpolled, Plan::Once(1), Plan::Once(2), Plan::After(1), Plan::After(2), Plan::After(3)]
        );
    }

    #[test]
    fn restarting_operations_are_dropped_in_one_place_per_run() {
        let mut plans = Plans::new(false, 1);
        let listed: Vec<_> = std::iter::from_fn(|| plans.next(1)).take(9).collect();
        assert_eq!(listed, [Plan::Unpolled, Plan::Once(1)]);
    }
}
