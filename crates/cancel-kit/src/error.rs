//! What a check finds.

use std::{fmt::Debug, time::Duration};

use crate::Plan;

/// Why a scenario is not shown to be cancel safe. `O` is its outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error<O: Debug> {
    /// Dropping futures changed the outcome: something was lost, doubled or reordered.
    #[error("{plan}: {found:?} where {expected:?} comes without drops")]
    Differs {
        /// When futures were dropped.
        plan: Plan,
        /// The outcome without drops.
        expected: O,
        /// The outcome with drops.
        found: O,
    },
    /// A future is pending and nothing is left that could wake it. Only this crate's own executor detects this.
    #[error("{plan}: pending after {polls} polls, and nothing is left to wake it")]
    Stalled {
        /// When futures were dropped.
        plan: Plan,
        /// Polls of the run until then.
        polls: u64,
    },
    /// The run does not end: dropping a future undoes what it did. See [`Check::restarts`].
    ///
    /// [`Check::restarts`]: crate::Check::restarts
    #[error("{plan}: not done after {polls} polls; does each new future start from the beginning?")]
    Endless {
        /// When futures were dropped.
        plan: Plan,
        /// Polls until the run was stopped.
        polls: u64,
    },
    /// The run took longer than allowed. Only detected if there is a clock, see `Check::run_in_tokio`.
    #[error("{plan}: not done after {limit:?} and {polls} polls")]
    Late {
        /// When futures were dropped.
        plan: Plan,
        /// Polls of the run until then.
        polls: u64,
        /// The time limit.
        limit: Duration,
    },
    /// No future was ever pending, so none could be dropped half done, and the check has shown nothing.
    #[error("no future was ever pending, so nothing was checked; use a slower pace or smaller buffers")]
    Vacuous,
}

impl<O: Debug> Error<O> {
    /// When futures were dropped in the run that failed. Pass it to [`Check::replay`](crate::Check::replay).
    #[must_use]
    pub const fn plan(&self) -> Plan {
        match self {
            Self::Differs { plan, .. }
            | Self::Stalled { plan, .. }
            | Self::Endless { plan, .. }
            | Self::Late { plan, .. } => *plan,
            Self::Vacuous => Plan::Never,
        }
    }
}
