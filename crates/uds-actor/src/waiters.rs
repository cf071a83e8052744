//! Wakers of waiting tasks. The module that uses them has the lock.

use std::{
    num::NonZeroU64,
    task::{Context, Waker},
};

/// The wakers of waiting tasks, in the order of their tickets. A task that stops waiting removes its waker, so there
/// are never more wakers than waiting tasks.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    last: u64,
    waiting: Vec<(u64, Waker)>,
}

/// The ticket of a future that may have to wait.
#[derive(Debug, Default)]
pub(crate) struct Ticket(Option<NonZeroU64>);

impl Ticket {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Whether the future has ever waited.
    pub(crate) const fn is_used(&self) -> bool {
        self.0.is_some()
    }
}

impl Waiters {
    /// Registers the task of `cx` to be woken by the next [`take`](Self::take).
    pub(crate) fn register(&mut self, ticket: &mut Ticket, cx: &Context<'_>) {
        if let Some(place) = self.find(ticket) {
            self.waiting[place].1.clone_from(cx.waker());
            return;
        }
        self.last += 1;
        ticket.0 = NonZeroU64::new(self.last);
        self.waiting.push((self.last, cx.waker().clone()));
    }

    /// Removes the waker and returns it, to be dropped after the lock is released.
    pub(crate) fn forget(&mut self, ticket: &Ticket) -> Option<Waker> {
        self.find(ticket).map(|place| self.waiting.remove(place).1)
    }

    fn find(&self, ticket: &Ticket) -> Option<usize> {
        let number = ticket.0?.get();
        self.waiting.binary_search_by_key(&number, |(number, _)| *number).ok()
    }

    /// Takes all wakers, to be woken after the lock is released.
    pub(crate) fn take(&mut self) -> Woken {
        Woken(std::mem::take(&mut self.waiting))
    }
}

/// The wakers that were taken.
#[derive(Debug, Default)]
#[must_use = "a task that is not woken waits forever"]
pub(crate) struct Woken(Vec<(u64, Waker)>);

impl Woken {
    pub(crate) fn wake(self) {
        self.0.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// The waker of the only task that may wait. It is replaced only if it has changed.
#[derive(Debug, Default)]
pub(crate) struct Parked(Option<Waker>);

impl Parked {
    pub(crate) fn park(&mut self, cx: &Context<'_>) {
        match &self.0 {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => self.0 = Some(cx.waker().clone()),
        }
    }

    /// Takes the waker, to be woken after the lock is released.
    #[must_use]
    pub(crate) const fn take(&mut self) -> Option<Waker> {
        self.0.take()
    }
}
