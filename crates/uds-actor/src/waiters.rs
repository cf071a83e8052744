//! Tasks that wait for a condition guarded by somebody else's lock.

use std::task::{Context, Waker};

/// Wakers of the tasks that wait, each once.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Vec<Waker>);

impl Waiters {
    /// Has the task of `cx` woken by the next [`take`](Self::take).
    pub(crate) fn register(&mut self, cx: &Context<'_>) {
        if !self.0.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.0.push(cx.waker().clone());
        }
    }

    /// Takes everybody who waits, to be woken once the lock is released.
    #[must_use]
    pub(crate) fn take(&mut self) -> Self {
        Self(std::mem::take(&mut self.0))
    }

    pub(crate) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

/// The one task that may wait: it replaces its waker only when that has changed.
#[derive(Debug, Default)]
pub(crate) struct Parked(Option<Waker>);

impl Parked {
    pub(crate) fn park(&mut self, cx: &Context<'_>) {
        match &self.0 {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => self.0 = Some(cx.waker().clone()),
        }
    }

    /// Takes the waker, to be woken once the lock is released.
    #[must_use]
    pub(crate) const fn take(&mut self) -> Option<Waker> {
        self.0.take()
    }
}
