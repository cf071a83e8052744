//! Which producer is next: deficit round robin over producers, in bytes.
//!
//! Pure: the caller passes which producers have something queued, and what each batch costs.
//!
//! In each round, a producer may deliver until it has used a quantum of bytes or has nothing left; then the next
//! producer follows. The size of a batch is known only after it was taken, so a producer may exceed its quantum by one
//! batch. The excess is a debt that the producer works off in later rounds, so that every producer gets the same number
//! of bytes, however large its batches are.
//!
//! # The bound
//!
//! A producer that has something queued and no debt waits for at most one quantum and one batch of each other producer.

use std::collections::{HashMap, VecDeque};

use crate::ProducerId;

/// Debts beyond this many quanta are forgiven, so that finding the next producer takes a bounded number of steps.
const MOST_DEBT: i64 = 64;

/// The producers that have something queued, or a debt, in the order of the round.
#[derive(Debug)]
pub(crate) struct Schedule {
    quantum: i64,
    /// The producer at the front is the current one.
    rotation: VecDeque<ProducerId>,
    /// One for each producer in the rotation.
    shares: HashMap<ProducerId, Share>,
    /// The number of these that have something queued.
    ready: usize,
}

#[derive(Debug)]
struct Share {
    /// Whether something is queued. If not, the producer is in the rotation only to work off its debt.
    is_ready: bool,
    /// Bytes that the producer may still deliver in this round. A negative number is a debt.
    credit: i64,
}

impl Schedule {
    /// A schedule with this quantum in bytes, at least 1.
    pub(crate) fn new(quantum: usize) -> Self {
        let quantum = i64::try_from(quantum).unwrap_or(i64::MAX).clamp(1, i64::MAX / (2 * MOST_DEBT));
        Self { quantum, rotation: VecDeque::new(), shares: HashMap::new(), ready: 0 }
    }

    /// Records that this producer has something queued. A new producer is last in the round.
    pub(crate) fn ready(&mut self, producer: ProducerId) {
        let share = self.shares.entry(producer).or_insert_with(|| {
            self.rotation.push_back(producer);
            Share { is_ready: false, credit: self.quantum }
        });
        if !std::mem::replace(&mut share.is_ready, true) {
            self.ready += 1;
        }
    }

    /// The current producer. It stays the same until its quantum is used or it is [idle](Self::idle).
    pub(crate) fn next(&mut self) -> Option<ProducerId> {
        while self.ready > 0 {
            let producer = *self.rotation.front()?;
            let share = self.shares.get_mut(&producer)?;
            if share.is_ready && share.credit > 0 {
                return Some(producer);
            }
            // Its quantum is used. The next one pays its debt first.
            self.rotation.pop_front();
            share.credit += self.quantum;
            if share.is_ready || share.credit < 0 {
                self.rotation.push_back(producer);
            } else {
                self.shares.remove(&producer);
            }
        }
        None
    }

    /// Counts a batch that was taken from this producer.
    pub(crate) fn charge(&mut self, producer: ProducerId, bytes: usize) {
        if let Some(share) = self.shares.get_mut(&producer) {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            share.credit = share.credit.saturating_sub(bytes).max(-MOST_DEBT * self.quantum);
        }
    }

    /// Records that nothing is queued. The producer loses the rest of its quantum, but keeps its debt.
    pub(crate) fn idle(&mut self, producer: ProducerId) {
        let Some(share) = self.shares.get_mut(&producer) else { return };
        if share.credit >= 0 {
            self.remove(producer);
        } else if std::mem::replace(&mut share.is_ready, false) {
            self.ready -= 1;
        }
    }

    /// Forgets a producer.
    pub(crate) fn remove(&mut self, producer: ProducerId) {
        let Some(share) = self.shares.remove(&producer) else { return };
        self.ready -= usize::from(share.is_ready);
        if self.rotation.front() == Some(&producer) {
            self.rotation.pop_front();
        } else {
            self.rotation.retain(|other| *other != producer);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUANTUM: usize = 64 << 10;

    /// Producers with queues of batches, given by their sizes. A flooding producer's last batch is repeated forever.
    struct Play {
        schedule: Schedule,
        queues: Vec<VecDeque<usize>>,
    }

    const fn id(producer: usize) -> ProducerId {
        ProducerId(producer as u64)
    }

    impl Play {
        fn new(queues: Vec<Vec<usize>>) -> Self {
            let mut play = Self { schedule: Schedule::new(QUANTUM), queues: vec![VecDeque::new(); queues.len()] };
            for (producer, queue) in queues.into_iter().enumerate() {
                for batch in queue {
                    play.arrive(producer, batch);
                }
            }
            play
        }

        fn arrive(&mut self, producer: usize, batch: usize) {
            self.queues[producer].push_back(batch);
            self.schedule.ready(id(producer));
        }

        /// The next batch: its producer and its size.
        fn take(&mut self) -> Option<(usize, usize)> {
            loop {
                let producer = self.schedule.next()?.0 as usize;
                match self.queues[producer].pop_front() {
                    Some(batch) => {
                        self.schedule.charge(id(producer), batch);
                        return Some((producer, batch));
                    }
                    None => self.schedule.idle(id(producer)),
                }
            }
        }
    }

    #[test]
    fn a_quiet_producer_waits_for_one_quantum_of_each_loud_one_and_then_gives_all_it_has() {
        let mut play = Play::new([vec![vec![QUANTUM; 100]; 30], vec![vec![300; 200]]].concat());
        let quiet = 30;
        let mut before = 0;
        while play.take().unwrap().0 != quiet {
            before += 1;
        }
        assert_eq!(before, 30, "one batch of a whole quantum of each loud producer");
        for nth in 1..200 {
            assert_eq!(play.take(), Some((quiet, 300)), "its batch {nth}");
        }
        assert_ne!(play.take().unwrap().0, quiet);
    }

    #[test]
    fn a_producer_pays_in_later_rounds_for_exceeding_its_quantum() {
        // One sends 16 quanta at a time, the other one quantum: over time, both get the same.
        let mut play = Play::new(vec![vec![16 * QUANTUM; 10], vec![QUANTUM; 1000]]);
        let mut bytes = [0, 0];
        while bytes[0] < 100 * QUANTUM {
            let (producer, batch) = play.take().unwrap();
            bytes[producer] += batch;
        }
        let [large, small] = bytes.map(|bytes| bytes / QUANTUM);
        assert!(large.abs_diff(small) <= 17, "{large} and {small} quanta");
    }

    #[test]
    fn a_debt_outlives_a_pause_and_delays_no_producer_that_is_alone() {
        let mut play = Play::new(vec![vec![16 * QUANTUM], vec![QUANTUM; 100]]);
        assert_eq!(play.take(), Some((0, 16 * QUANTUM)));
        // Its queue becomes empty and then gets more: the debt remains.
        assert_eq!(play.take(), Some((1, QUANTUM)));
        play.arrive(0, 1);
        let rounds = (0..).find(|_| play.take().unwrap().0 == 0).unwrap();
        assert!((13..=16).contains(&rounds), "{rounds} rounds");
        let mut alone = Play::new(vec![vec![16 * QUANTUM, 1]]);
        assert_eq!((alone.take(), alone.take(), alone.take()), (Some((0, 16 * QUANTUM)), Some((0, 1)), None));
    }

    #[test]
    fn a_removed_producer_is_not_served() {
        let mut play = Play::new(vec![vec![1], vec![2], vec![3]]);
        play.schedule.remove(id(1));
        play.schedule.remove(id(1));
        assert_eq!((play.take(), play.take(), play.take()), (Some((0, 1)), Some((2, 3)), None));
        assert!(play.schedule.rotation.is_empty() && play.schedule.shares.is_empty() && play.schedule.ready == 0);
    }

    proptest! {
        #[test]
        fn a_producer_without_debt_waits_for_at_most_one_quantum_of_each_other(
            queues in prop::collection::vec(prop::collection::vec(1..4 * QUANTUM, 0..40), 1..12),
            arrivals in prop::collection::vec((0_usize..12, 1..4 * QUANTUM), 0..200),
        ) {
            let largest = queues.iter().flatten().chain(arrivals.iter().map(|(_, batch)| batch)).max().copied().unwrap_or(0);
            let sent: usize = queues.iter().map(Vec::len).sum::<usize>() + arrivals.len();
            let count = queues.len();
            let mut play = Play::new(queues);
            let mut arrivals = arrivals.into_iter();
            let mut taken = 0;
            // For each producer that waits without debt: the bytes that each other one has taken since it began to
            // wait.
            let mut waits: Vec<Option<Vec<usize>>> = vec![None; count];
            loop {
                if let Some((producer, batch)) = arrivals.next() {
                    play.arrive(producer % count, batch);
                }
                for (producer, wait) in waits.iter_mut().enumerate() {
                    match play.schedule.shares.get(&id(producer)) {
                        Some(share) if !play.queues[producer].is_empty() && share.credit > 0 => { wait.get_or_insert_with(|| vec![0; count]); }
                        _ => *wait = None,
                    }
                }
                let Some((producer, batch)) = play.take() else { break };
                taken += 1;
                waits[producer] = None;
                for wait in waits.iter_mut().flatten() {
                    wait[producer] += batch;
                    prop_assert!(wait[producer] <= QUANTUM + largest, "{} bytes of one producer", wait[producer]);
                }
            }
            prop_assert_eq!(taken, sent, "a producer starves");
            prop_assert!(play.schedule.rotation.len() <= count);
        }
    }
}
