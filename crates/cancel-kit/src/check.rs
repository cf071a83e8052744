//! Runs a scenario under every plan and compares the outcomes.

use std::{
    fmt::{self, Debug},
    future::Future,
    pin::{Pin, pin},
    sync::atomic::Ordering,
};

use crate::{
    Drops, Error, Plan,
    executor::{self, GaveUp},
    plan::Plans,
};

/// Checks a scenario with the default settings: every period, every single place, on this crate's own executor.
///
/// # Errors
///
/// The first plan under which the outcome differs, or there is none.
pub fn check<O: PartialEq + Debug>(scenario: impl AsyncFnMut(Drops) -> O) -> Result<Survey, Error<O>> {
    Check::new().run(scenario)
}

/// How to check a scenario.
///
/// A scenario creates everything that it needs, does its work through [`Drops::drive`], and returns what you want to
/// compare: what was received, written, counted.
///
/// The number of runs is at most two more than the polls of the longest future and the polls of a run without drops
/// together. A scenario of a few dozen polls takes milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    periods: bool,
    max_polls: u64,
}

/// What a check did that found nothing wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Runs of the scenario.
    pub runs: u64,
    /// Futures that were dropped half done, in all runs together; at least 1.
    pub dropped: u64,
}

impl Check {
    /// The default for the polls that a run on this crate's executor may take: 1,000,000.
    pub const DEFAULT_MAX_POLLS: u64 = 1_000_000;

    /// The default settings.
    #[must_use]
    pub const fn new() -> Self {
        Self { periods: true, max_polls: Self::DEFAULT_MAX_POLLS }
    }

    /// For operations that start from the beginning when their future is dropped, such as connecting. Each run drops
    /// only one future; with periods such operations would never complete.
    #[must_use]
    pub const fn restarts(mut self) -> Self {
        self.periods = false;
        self
    }

    /// After this many polls, a run on this crate's executor is [`Error::Endless`].
    #[must_use]
    pub const fn max_polls(mut self, polls: u64) -> Self {
        self.max_polls = polls;
        self
    }

    /// Runs the scenario under every plan, in this thread.
    ///
    /// Only the scenario itself runs. A future that waits for another thread or a timer is [`Error::Stalled`].
    ///
    /// # Errors
    ///
    /// The first plan under which the outcome differs, or there is none.
    pub fn run<O: PartialEq + Debug>(self, scenario: impl AsyncFnMut(Drops) -> O) -> Result<Survey, Error<O>> {
        self.survey(|future| executor::run(future, self.max_polls), scenario)
    }

    /// Runs the scenario under every plan, each time with `run`: a runtime's `block_on`, for scenarios with tasks,
    /// timers or sockets.
    ///
    /// For tokio, use `run_in_tokio`. If you want to limit the time of a run, put a timeout around the future in `run`.
    /// The number of polls may vary from run to run; the outcome must not.
    ///
    /// ```
    /// use cancel_kit::{Check, Drops};
    /// use tokio::{runtime::Builder, sync::mpsc};
    ///
    /// let survey = Check::new().run_in(
    ///     |scenario| Builder::new_current_thread().build().expect("a runtime").block_on(scenario),
    ///     async |drops: Drops| {
    ///         let (sender, mut receiver) = mpsc::channel(1);
    ///         let producer = tokio::spawn(async move {
    ///             for number in 0..5 {
    ///                 sender.send(number).await.expect("the receiver lives");
    ///             }
    ///         });
    ///         let mut received = Vec::new();
    ///         while let Some(number) = drops.drive(async || receiver.recv().await).await {
    ///             received.push(number);
    ///         }
    ///         producer.await.expect("no panic");
    ///         received
    ///     },
    /// );
    /// assert!(survey.expect("recv is cancel safe").dropped > 0);
    /// ```
    ///
    /// # Errors
    ///
    /// The first plan under which the outcome differs.
    pub fn run_in<O: PartialEq + Debug>(
        self,
        mut run: impl FnMut(Pin<&mut dyn Future<Output = O>>) -> O,
        scenario: impl AsyncFnMut(Drops) -> O,
    ) -> Result<Survey, Error<O>> {
        self.survey(|future| Ok(run(future)), scenario)
    }

    /// Runs the scenario once under the plan that an [`Error`] names, so that you can investigate it.
    ///
    /// # Errors
    ///
    /// There is no outcome: the run stalls or does not end.
    pub fn replay<O: Debug>(self, plan: Plan, mut scenario: impl AsyncFnMut(Drops) -> O) -> Result<O, Error<O>> {
        let drops = Drops::new(plan);
        let outcome = executor::run(pin!(scenario(drops.clone())), self.max_polls);
        outcome.map_err(|gave_up| failed(gave_up, &drops))
    }

    pub(crate) fn survey<O: PartialEq + Debug>(
        self,
        mut run: impl FnMut(Pin<&mut dyn Future<Output = O>>) -> Result<O, GaveUp>,
        mut scenario: impl AsyncFnMut(Drops) -> O,
    ) -> Result<Survey, Error<O>> {
        let mut survey = Survey::default();
        let mut once = |plan| {
            let drops = Drops::new(plan);
            let outcome = run(pin!(scenario(drops.clone()))).map_err(|gave_up| failed(gave_up, &drops))?;
            let dropped = drops.tally().dropped.load(Ordering::Relaxed);
            survey.runs += 1;
            survey.dropped += dropped;
            Ok((outcome, dropped, drops))
        };
        let (expected, mut dropped, whole) = once(Plan::Never)?;
        let mut plans = Plans::new(self.periods, whole.tally().pending.load(Ordering::Relaxed));
        while let Some(plan) = plans.next(dropped) {
            let found;
            (found, dropped, _) = once(plan)?;
            if found != expected {
                return Err(Error::Differs { plan, expected, found });
            }
        }
        if survey.dropped == 0 { Err(Error::Vacuous) } else { Ok(survey) }
    }
}

impl Default for Check {
    fn default() -> Self {
        Self::new()
    }
}

fn failed<O: Debug>(gave_up: GaveUp, drops: &Drops) -> Error<O> {
    let polls = drops.tally().pending.load(Ordering::Relaxed);
    match gave_up {
        GaveUp::Stalled => Error::Stalled { plan: drops.plan(), polls },
        GaveUp::Endless => Error::Endless { plan: drops.plan(), polls },
        #[cfg(feature = "tokio")]
        GaveUp::Late(limit) => Error::Late { plan: drops.plan(), polls, limit },
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} runs, {} futures dropped half done", self.runs, self.dropped)
    }
}
