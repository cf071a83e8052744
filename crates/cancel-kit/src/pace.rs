//! When a scripted stream is ready, and for how much.

use std::{io, sync::Arc};

/// What a [`Wire`](crate::Wire) does at one poll of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Nothing yet: the poll is pending, and the task is woken at once.
    Pending,
    /// Moves at most this many bytes; 0 counts as 1.
    Bytes(usize),
    /// Fails with an error of this kind. The stream goes on with the next step, as after `Interrupted`.
    Fails(io::ErrorKind),
}

/// A sequence of [`Step`]s that repeats for ever; each direction of a [`Wire`](crate::Wire) goes through it by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    steps: Arc<[Step]>,
    next: usize,
}

impl Pace {
    /// Always ready, for everything: the pace of a stream that is not what is being tested.
    #[must_use]
    pub fn eager() -> Self {
        Self::steps([Step::Bytes(usize::MAX)])
    }

    /// Pending, then `count` bytes, and again.
    #[must_use]
    pub fn bytes(count: usize) -> Self {
        Self::steps([Step::Pending, Step::Bytes(count)])
    }

    /// These steps over and over. No steps are [`eager`](Self::eager); a pace that is only ever pending makes a run
    /// [endless](crate::Error::Endless).
    #[must_use]
    pub fn steps(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), next: 0 }
    }

    /// The next step, which is done with.
    pub(crate) fn advance(&mut self) -> Step {
        let step = self.peek();
        self.next = if self.next + 1 < self.steps.len() { self.next + 1 } else { 0 };
        step
    }

    /// The next step, which stays the next.
    pub(crate) fn peek(&self) -> Step {
        self.steps.get(self.next).copied().unwrap_or(Step::Bytes(usize::MAX))
    }
}
