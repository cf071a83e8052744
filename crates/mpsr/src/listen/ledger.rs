//! Which messages standard output has accepted, so that a report counts only what left the process.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A number of messages, and the bytes of their payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Written {
    const fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

/// The messages between the funnel and standard output, and for each producer those that were written.
#[derive(Debug)]
pub(super) struct Ledger {
    /// In the order in which they were added to the output.
    pending: VecDeque<Pending>,
    written: HashMap<u64, Written>,
    /// Messages of one producer that are not in `written` yet.
    run: Option<(u64, Written)>,
    tally: Arc<Tally>,
}

#[derive(Debug)]
struct Pending {
    producer: u64,
    bytes: usize,
    /// The message is written once the output has accepted this many bytes.
    end: u64,
}

/// Totals that another thread can read even while this one is stuck.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) producers: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) truncated: AtomicU64,
    pub(super) unterminated: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) shortened: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) unread: AtomicU64,
    pub(super) failed_sources: AtomicU64,
}

impl Tally {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        // Statistics: nothing is ordered by them.
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn written(&self) -> Written {
        let [messages, bytes] = [&self.delivered, &self.bytes].map(|counter| counter.load(Ordering::Relaxed));
        Written { messages, bytes }
    }
}

impl Ledger {
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        Self { pending: VecDeque::new(), written: HashMap::new(), run: None, tally }
    }

    pub(super) const fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Records that a message was added to the output and ends at this position.
    pub(super) fn add(&mut self, producer: u64, bytes: usize, end: u64) {
        self.pending.push_back(Pending { producer, bytes, end });
    }

    /// Records that the output has accepted this many bytes in total.
    pub(super) fn settle(&mut self, accepted: u64) {
        let mut total = Written::default();
        while let Some(&Pending { producer, bytes, end }) = self.pending.front()
            && end <= accepted
        {
            self.pending.pop_front();
            // Messages of one producer come in runs, so one lookup serves a whole run.
            if self.run.is_none_or(|(current, _)| current != producer) {
                self.end_run();
            }
            let (_, run) = self.run.get_or_insert((producer, Written::default()));
            run.add(bytes);
            total.add(bytes);
        }
        self.end_run();
        Tally::add(&self.tally.delivered, total.messages);
        Tally::add(&self.tally.bytes, total.bytes);
    }

    fn end_run(&mut self) {
        if let Some((producer, run)) = self.run.take() {
            let written = self.written.entry(producer).or_default();
            written.messages += run.messages;
            written.bytes += run.bytes;
        }
    }

    /// Returns what was written of a producer that has left, and forgets it.
    pub(super) fn close(&mut self, producer: u64) -> Written {
        self.written.remove(&producer).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_once_its_last_byte_was_accepted() {
        let mut ledger = Ledger::new(Arc::default());
        for (producer, end) in [(1, 3), (1, 6), (2, 9), (1, 12)] {
            ledger.add(producer, 2, end);
        }
        for (accepted, delivered) in [(0, 0), (2, 0), (3, 1), (8, 2), (11, 3)] {
            ledger.settle(accepted);
            assert_eq!(ledger.tally().written(), Written { messages: delivered, bytes: 2 * delivered });
        }
        assert_eq!(ledger.close(1), Written { messages: 2, bytes: 4 });
        assert_eq!(ledger.close(2), Written { messages: 1, bytes: 2 });
        ledger.settle(12);
        assert_eq!(ledger.tally().written().messages, 4);
    }
}
