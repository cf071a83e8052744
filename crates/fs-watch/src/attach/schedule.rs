//! Which handler to start, to stop and to restart. Pure: the time is an argument.
//!
//! ```text
//!            added                  start                 it finished by itself
//!   nothing ───────► waiting ───────────────► working ───────────────────────────► done
//!                    ▲     ▲                  │     │
//!                    │     └─ pause ◄─ failed ┘     │ removed, or its successor added: ask it to stop
//!                    │                              ▼
//!                    └─ it ended, and there is ◄─ leaving ──patience over: abort──► aborted
//!                       a successor by now                                            │
//!                               ▲─────────────────────────────────────────────────────┘
//! ```
//!
//! Each place has at most one handler, and its end is always awaited. Two handlers for the same place therefore never
//! run at the same time, whatever the order of events.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::policy::Policy;
use super::subject::Subject;

/// The short runs at this many places where nothing is are remembered.
const REMEMBERED: usize = 1024;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action<S: Subject> {
    Start(S),
    /// Ask the handler at this place to stop.
    Ask(S::Place),
    /// Abort the handler at this place.
    Abort(S::Place),
    /// This one was gone before its handler could start.
    Skip(S::Id),
}

/// How a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Finished,
    Failed,
}

/// What follows from the end of a handler.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Followup<I> {
    pub(super) id: I,
    /// Whether it had been asked to stop.
    pub(super) asked: bool,
    pub(super) again_in: Option<Duration>,
}

/// Every place that has a handler, will have one, or has had failing ones.
///
/// Memory: an entry for each subject that is there, and at most [`REMEMBERED`] others.
#[derive(Debug)]
pub(super) struct Schedule<S: Subject> {
    policy: Policy,
    by_place: HashMap<S::Place, Entry<S>>,
    alarms: BTreeSet<(Instant, S::Place)>,
    /// Due to start when another has ended, in the order in which they appeared.
    queue: BTreeMap<u64, S::Place>,
    /// The next number in the queue.
    ticket: u64,
    /// Places where nothing is, and when the last run there ended.
    idle: VecDeque<(Instant, S::Place)>,
    working: usize,
    actions: VecDeque<Action<S>>,
    /// Whether nothing is started any more.
    closed: bool,
}

/// What is known of one place.
#[derive(Debug)]
struct Entry<S: Subject> {
    /// Which one is there. It has had its handler, has it now, or will have it.
    present: Option<S::Id>,
    worker: Option<Worker<S>>,
    next: Option<Next<S>>,
    /// Short runs in a row.
    strikes: u32,
    last_end: Option<Instant>,
    /// When patience or a pause ends.
    alarm: Option<Instant>,
    /// Its number in the queue.
    queued: Option<u64>,
    is_idle: bool,
}

impl<S: Subject> Default for Entry<S> {
    fn default() -> Self {
        Self {
            present: None,
            worker: None,
            next: None,
            strikes: 0,
            last_end: None,
            alarm: None,
            queued: None,
            is_idle: false,
        }
    }
}

#[derive(Debug)]
struct Worker<S> {
    subject: S,
    since: Instant,
    phase: Phase,
    /// Short runs in a row for this subject, before this run.
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Working,
    Leaving,
    Aborted,
}

#[derive(Debug)]
struct Next<S> {
    subject: S,
    /// Short runs in a row that it has had; none if it has not had a handler yet.
    failures: u32,
}

impl<S> Next<S> {
    /// Whether it has not had a handler yet.
    const fn is_new(&self) -> bool {
        self.failures == 0
    }
}

impl<S: Subject> Schedule<S> {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            by_place: HashMap::new(),
            alarms: BTreeSet::new(),
            queue: BTreeMap::new(),
            ticket: 0,
            idle: VecDeque::new(),
            working: 0,
            actions: VecDeque::new(),
            closed: false,
        }
    }

    /// This one is there now. If another is known at its place, that one is gone.
    pub(super) fn handle_added(&mut self, subject: S, now: Instant) {
        if self.closed {
            return;
        }
        self.forget(now);
        let id = subject.id();
        let place = S::place(&id).clone();
        let entry = self.by_place.entry(place.clone()).or_default();
        // It may be announced more than once.
        if entry.present.replace(id.clone()) == Some(id) {
            return;
        }
        entry.is_idle = false;
        if let Some(before) = entry.next.replace(Next { subject, failures: 0 })
            && before.is_new()
        {
            self.actions.push_back(Action::Skip(before.subject.id()));
        }
        if entry.worker.is_some() {
            self.dismiss(&place, None, now);
        } else {
            self.appoint(&place, now);
        }
    }

    pub(super) fn handle_removed(&mut self, id: &S::Id, now: Instant) {
        let place = S::place(id);
        let Some(entry) = self.by_place.get_mut(place) else { return };
        entry.present.take_if(|present| present == id);
        if let Some(next) = entry.next.take_if(|next| next.subject.id() == *id) {
            if next.is_new() {
                self.actions.push_back(Action::Skip(id.clone()));
            }
            // Its place in the queue is not needed any more.
            if let Some(ticket) = entry.queued.take() {
                self.queue.remove(&ticket);
            }
            if entry.worker.is_none() {
                self.set_alarm(place, None);
            }
        }
        self.dismiss(place, Some(id), now);
        self.retire(place);
        self.forget(now);
    }

    /// The handler at this place has ended.
    pub(super) fn handle_end(&mut self, place: &S::Place, ending: Ending, now: Instant) -> Followup<S::Id> {
        let entry = self.by_place.get_mut(place).expect("an entry lives as long as its worker");
        let Worker { subject, since, phase, mut failures } = entry.worker.take().expect("only a worker ends");
        self.working -= 1;
        if now.saturating_duration_since(since) >= self.policy.settled {
            (entry.strikes, failures) = (0, 0);
        } else if ending == Ending::Finished {
            entry.strikes = entry.strikes.saturating_add(1);
        }
        if ending == Ending::Failed {
            entry.strikes = entry.strikes.saturating_add(1);
            failures = failures.saturating_add(1);
        }
        entry.last_end = Some(now);
        let asked = phase != Phase::Working;
        let id = subject.id();
        let mut again_in = None;
        if !asked && ending == Ending::Failed && !self.closed {
            let pause = self.policy.pause(failures.max(entry.strikes.saturating_sub(self.policy.grace)));
            entry.next = Some(Next { subject, failures });
            self.set_alarm(place, Some(now + pause));
            again_in = Some(pause);
        } else {
            self.set_alarm(place, None);
            self.appoint(place, now);
        }
        self.retire(place);
        while self.working < self.policy.limit
            && let Some((_, place)) = self.queue.pop_first()
        {
            if let Some(entry) = self.by_place.get_mut(&place) {
                entry.queued = None;
                if entry.alarm.is_none() {
                    self.start(&place, now);
                }
            }
        }
        Followup { id, asked, again_in }
    }

    /// When to call [`handle_time`](Self::handle_time).
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }

    pub(super) fn handle_time(&mut self, now: Instant) {
        while self.alarm().is_some_and(|at| at <= now)
            && let Some((_, place)) = self.alarms.pop_first()
        {
            let Some(entry) = self.by_place.get_mut(&place) else { continue };
            entry.alarm = None;
            match &mut entry.worker {
                Some(worker) => {
                    worker.phase = Phase::Aborted;
                    self.actions.push_back(Action::Abort(place));
                }
                None => self.start(&place, now),
            }
        }
    }

    /// No handler is started any more. Those that run stay.
    pub(super) fn start_no_more(&mut self) {
        self.closed = true;
        self.queue.clear();
        let places: Vec<S::Place> = self.by_place.keys().cloned().collect();
        for place in places {
            let Some(entry) = self.by_place.get_mut(&place) else { continue };
            entry.queued = None;
            if let Some(next) = entry.next.take() {
                if next.is_new() {
                    self.actions.push_back(Action::Skip(next.subject.id()));
                }
                if entry.worker.is_none() {
                    self.set_alarm(&place, None);
                }
            }
        }
    }

    /// All handlers must stop, and none is started any more.
    pub(super) fn close(&mut self, now: Instant) {
        self.start_no_more();
        let places: Vec<S::Place> = self.by_place.keys().cloned().collect();
        for place in places {
            self.dismiss(&place, None, now);
        }
    }

    pub(super) fn poll_action(&mut self) -> Option<Action<S>> {
        self.actions.pop_front()
    }

    /// How many handlers are running.
    pub(super) fn working(&self) -> usize {
        self.working
    }

    /// Whether nothing runs, nothing is due to start, and nothing is left to do.
    pub(super) fn is_idle(&self) -> bool {
        self.working == 0 && self.alarms.is_empty() && self.queue.is_empty() && self.actions.is_empty()
    }

    /// Asks the handler at `place` to stop, if it is the one meant and has not been asked.
    fn dismiss(&mut self, place: &S::Place, only: Option<&S::Id>, now: Instant) {
        let Some(worker) = self.by_place.get_mut(place).and_then(|entry| entry.worker.as_mut()) else { return };
        let is_meant = only.is_none_or(|id| worker.subject.id() == *id);
        if is_meant && worker.phase == Phase::Working {
            worker.phase = Phase::Leaving;
            self.actions.push_back(Action::Ask(place.clone()));
            self.set_alarm(place, now.checked_add(self.policy.patience));
        }
    }

    /// Starts the handler of the new subject at `place`, now or after a pause.
    fn appoint(&mut self, place: &S::Place, now: Instant) {
        let Some(entry) = self.by_place.get(place).filter(|entry| entry.next.is_some()) else { return };
        let pause = self.policy.pause(entry.strikes.saturating_sub(self.policy.grace));
        let due = entry.last_end.map_or(now, |ended| ended + pause);
        if due > now {
            self.set_alarm(place, Some(due));
        } else {
            self.set_alarm(place, None);
            self.start(place, now);
        }
    }

    fn start(&mut self, place: &S::Place, now: Instant) {
        let has_room = self.working < self.policy.limit;
        let Some(entry) = self.by_place.get_mut(place).filter(|entry| entry.worker.is_none() && entry.next.is_some())
        else {
            return;
        };
        if !has_room {
            if entry.queued.is_none() {
                entry.queued = Some(self.ticket);
                self.queue.insert(self.ticket, place.clone());
                self.ticket += 1;
            }
        } else if let Some(Next { subject, failures }) = entry.next.take() {
            self.actions.push_back(Action::Start(subject.clone()));
            entry.worker = Some(Worker { subject, since: now, phase: Phase::Working, failures });
            self.working += 1;
        }
    }

    fn set_alarm(&mut self, place: &S::Place, at: Option<Instant>) {
        let Some(entry) = self.by_place.get_mut(place) else { return };
        if let Some(before) = std::mem::replace(&mut entry.alarm, at) {
            self.alarms.remove(&(before, place.clone()));
        }
        if let Some(at) = at {
            self.alarms.insert((at, place.clone()));
        }
    }

    /// Removes the entry of a place where nothing is, except for the memory of failures.
    fn retire(&mut self, place: &S::Place) {
        let Some(entry) = self.by_place.get_mut(place) else { return };
        if entry.present.is_some() || entry.worker.is_some() || entry.next.is_some() || entry.is_idle {
            return;
        }
        match entry.last_end {
            Some(ended) if entry.strikes > 0 => {
                entry.is_idle = true;
                self.idle.push_back((ended, place.clone()));
            }
            _ => {
                self.by_place.remove(place);
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        let memory = self.policy.memory();
        while let Some((ended, _)) = self.idle.front()
            && (self.idle.len() > REMEMBERED || now.saturating_duration_since(*ended) > memory)
            && let Some((ended, place)) = self.idle.pop_front()
        {
            if self.by_place.get(&place).is_some_and(|entry| entry.is_idle && entry.last_end == Some(ended)) {
                self.by_place.remove(&place);
            }
        }
    }
}

#[cfg(test)]
mod tests;
