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
    /// Fails with an error of this kind. The stream continues with the next step, as after `Interrupted`.
    Fails(io::ErrorKind),
}

/// A sequence of [`Step`]s that repeats forever. Each direction of a [`Wire`](crate::Wire) goes through it separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    steps: Arc<[Step]>,
    next: usize,
}

impl Pace {
    /// Always ready for everything: for a stream that is not being tested.
    #[must_use]
    pub fn eager() -> Self {
        Self::steps([Step::Bytes(usize::MAX)])
    }

    /// Pending, then `count` bytes, and so on.
    #[must_use]
    pub fn bytes(count: usize) -> Self {
        Self::steps([Step::Pending, Step::Bytes(count)])
    }

    /// Repeats these steps. Without steps it is [`eager`](Self::eager). If all steps are pending, a run is
    /// [endless](crate::Error::Endless).
    #[must_use]
    pub fn steps(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), next: 0 }
    }

    /// Takes the next step.
    pub(crate) fn advance(&mut self) -> Step {
        let step = self.peek();
        self.next = if self.next + 1 < self.steps.len() { self.next + 1 } else { 0 };
        step
    }

    /// The next step, which remains the next.
    pub(crate) fn peek(&self) -> Step {
        self.steps.get(self.next).copied().unwrap_or(Step::Bytes(usize::MAX))
    }
}
