//! One queue of calls whose replies come in order.

use std::collections::VecDeque;

/// A call that waits for its reply.
#[derive(Debug)]
pub(crate) struct Slot<T, C, W> {
    pub(crate) tag: T,
    pub(crate) context: C,
    /// Who wants the reply; nobody, when the call was cancelled.
    pub(crate) waiter: Option<W>,
    /// The number of its frame in the outbox.
    pub(crate) frame: u64,
}

/// A queue of slots. Slots have numbers that never repeat, so that a cancellation which comes too late
/// cannot hit another call.
#[derive(Debug)]
pub(crate) struct Lane<L, T, C, W> {
    pub(crate) name: L,
    slots: VecDeque<Slot<T, C, W>>,
    /// The number of the first slot in the queue.
    first: u64,
}

impl<L, T, C, W> Lane<L, T, C, W> {
    pub(crate) fn new(name: L) -> Self {
        Self { name, slots: VecDeque::new(), first: 0 }
    }

    /// Appends a slot and says its number.
    pub(crate) fn push(&mut self, slot: Slot<T, C, W>) -> u64 {
        let number = self.first + self.slots.len() as u64;
        self.slots.push_back(slot);
        number
    }

    /// The oldest call.
    pub(crate) fn front(&self) -> Option<&Slot<T, C, W>> {
        self.slots.front()
    }

    /// Removes the oldest call.
    pub(crate) fn pop(&mut self) -> Option<Slot<T, C, W>> {
        let slot = self.slots.pop_front()?;
        self.first += 1;
        Some(slot)
    }

    /// Removes the newest call if its frame is number `frame` or later.
    pub(crate) fn pop_newest_from(&mut self, frame: u64) -> Option<Slot<T, C, W>> {
        self.slots.back().filter(|slot| slot.frame >= frame)?;
        self.slots.pop_back()
    }

    /// Takes the waiter of slot `number` away; the slot stays and keeps the queue in step.
    pub(crate) fn cancel(&mut self, number: u64) -> Option<W> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(index)?.waiter.take()
    }
}
