//! The wire lengths of queued frames. Neighbours with the same length share an entry, so that each message of a stream
//! of equal messages costs one addition.

use std::{collections::VecDeque, mem};

/// The lengths of frames, oldest first.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    older: VecDeque<Run>,
    /// The run that is being extended.
    newest: Run,
}

#[derive(Clone, Copy, Debug, Default)]
struct Run {
    len: u32,
    count: u32,
}

impl Lengths {
    /// Adds a frame of `len` bytes, at least 1.
    #[inline]
    pub(super) fn push(&mut self, len: u32) {
        debug_assert!(len > 0, "a frame without a byte is never in a queue of bytes");
        if self.newest.len == len
            && let Some(count) = self.newest.count.checked_add(1)
        {
            self.newest.count = count;
        } else {
            self.begin(len);
        }
    }

    fn begin(&mut self, len: u32) {
        let before = mem::replace(&mut self.newest, Run { len, count: 1 });
        if before.count > 0 {
            self.older.push_back(before);
        }
    }

    /// The number of frames.
    pub(super) fn len(&self) -> usize {
        self.older.iter().chain([&self.newest]).map(|run| run.count as usize).sum()
    }

    /// Removes the oldest frame and returns its length.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let run = self.front()?;
        run.count -= 1;
        let len = run.len as usize;
        self.tidy();
        Some(len)
    }

    /// Removes the frames that lie completely within the first `bytes`. Returns their number, and how many of these
    /// bytes belong to the frame behind them.
    pub(super) fn pop_within(&mut self, mut bytes: usize) -> (u64, usize) {
        let mut frames = 0;
        while let Some(run) = self.front()
            && let whole = (bytes / run.len as usize).min(run.count as usize)
            && whole > 0
        {
            bytes -= whole * run.len as usize;
            #[expect(clippy::cast_possible_truncation, reason = "not more than a count of 32 bits")]
            let whole = whole as u32;
            run.count -= whole;
            frames += u64::from(whole);
            self.tidy();
        }
        (frames, bytes)
    }

    fn front(&mut self) -> Option<&mut Run> {
        match self.older.front_mut() {
            None if self.newest.count == 0 => None,
            None => Some(&mut self.newest),
            older => older,
        }
    }

    /// Keeps empty runs out of the queue.
    fn tidy(&mut self) {
        if self.older.front().is_some_and(|run| run.count == 0) {
            self.older.pop_front();
        }
    }

    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.older.shrink_to(bytes / size_of::<Run>());
    }

    /// Its heap memory, in bytes.
    pub(super) fn memory_len(&self) -> usize {
        self.older.capacity() * size_of::<Run>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_are_divided_among_frames_as_one_by_one(
            lens in prop::collection::vec(1..4_u32, 0..40),
            steps in prop::collection::vec(0..9_usize, 0..40),
        ) {
            let mut lengths = Lengths::default();
            lens.iter().for_each(|&len| lengths.push(len));
            let mut model: VecDeque<u32> = lens.into();
            let mut carried = 0;
            for step in steps {
                let left = model.iter().map(|&len| len as usize).sum::<usize>() - carried;
                let (frames, rest) = lengths.pop_within(carried + step.min(left));
                carried += step.min(left);
                let mut expected = 0;
                while let Some(&len) = model.front() && carried >= len as usize {
                    carried -= len as usize;
                    model.pop_front();
                    expected += 1;
                }
                prop_assert_eq!((frames, rest, lengths.len()), (expected, carried, model.len()));
            }
            prop_assert_eq!(std::iter::from_fn(|| lengths.pop()).collect::<Vec<_>>(), model.iter().map(|&len| len as usize).collect::<Vec<_>>());
        }
    }
    #[test]
    fn room_for_runs_is_given_back_down_to_what_is_kept() {
        let mut lengths = Lengths::default();
        (0..1000).for_each(|n| lengths.push(1 + n % 2));
        while lengths.pop().is_some() {}
        assert!(lengths.memory_len() >= 999 * size_of::<Run>());
        lengths.shrink_to(1024);
        assert_eq!(lengths.memory_len(), 1024);
    }
}
