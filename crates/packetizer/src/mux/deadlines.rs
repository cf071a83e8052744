//! Which deadline is next.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use super::slots::CallId;

/// This many entries may belong to calls that have ended before the heap is cleaned.
const SLACK: usize = 64;

/// The deadlines of the pending calls. An entry of a call that has ended is dropped when it comes up, or when such
/// entries are the majority of the heap. Memory therefore follows the number of pending calls.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    /// Calls in the heap that have not ended.
    live: usize,
}

impl Deadlines {
    pub(super) fn insert(&mut self, deadline: Instant, call: CallId) {
        self.heap.push(Reverse((deadline, call.sequence, call.index)));
        self.live += 1;
    }

    /// Records that a call with a deadline has ended.
    pub(super) fn handle_over(&mut self, is_live: impl Fn(CallId) -> bool) {
        self.live = self.live.saturating_sub(1);
        if self.heap.len() > self.live.saturating_mul(2).saturating_add(SLACK) {
            self.heap.retain(|Reverse((_, sequence, index))| is_live(CallId { index: *index, sequence: *sequence }));
            self.heap.shrink_to(self.live.saturating_mul(2).saturating_add(SLACK));
        }
    }

    /// The earliest deadline. It may belong to a call that has ended.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((deadline, ..))| *deadline)
    }

    /// The next call with a deadline that is not after `now`.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<CallId> {
        let Reverse((deadline, ..)) = self.heap.peek()?;
        if *deadline > now {
            return None;
        }
        let Reverse((_, sequence, index)) = self.heap.pop()?;
        Some(CallId { index, sequence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_the_calls_that_wait() {
        let now = Instant::now();
        let mut deadlines = Deadlines::default();
        for sequence in 0..100_000 {
            let call = CallId { index: 0, sequence };
            deadlines.insert(now, call);
            deadlines.handle_over(|_| false);
        }
        assert!(deadlines.heap.capacity() <= 4 * SLACK, "{}", deadlines.heap.capacity());
        assert_eq!(deadlines.live, 0);
    }
    #[test]
    fn the_heap_is_cleaned_when_most_of_it_is_over() {
        for (calls, cleaned_at) in [(SLACK, None), (SLACK + 1, Some(SLACK + 1))] {
            let mut deadlines = Deadlines::default();
            let now = Instant::now();
            (0..calls as u64).for_each(|sequence| deadlines.insert(now, CallId { index: 0, sequence }));
            assert_eq!(deadlines.live, calls);
            let cleans = |over| {
                let asked = std::cell::Cell::new(false);
                deadlines.handle_over(|_| asked.replace(true));
                asked.get().then_some(over)
            };
            assert_eq!((1..=calls).find_map(cleans), cleaned_at, "{calls} calls");
        }
    }
}
