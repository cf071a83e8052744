//! Which handler to start, to stop and to restart. Pure: the time is an argument.
//!
//! ```text
//!            Added                  start                 it finished by itself
//!   nothing ───────► waiting ───────────────► working ───────────────────────────► done
//!                    ▲     ▲                  │     │
//!                    │     └─ pause ◄─ failed ┘     │ Removed: ask it to stop
//!                    │                              ▼
//!                    └─ it ended, and there is ◄─ leaving ──patience over: abort──► aborted
//!                       a successor by now                                            │
//!                               ▲─────────────────────────────────────────────────────┘
//! ```
//!
//! Each path has at most one handler, and its end is always awaited. Two handlers for the same path therefore never run
//! at the same time, whatever the order of events.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::policy::Policy;
use crate::socket::{Socket, SocketId};

/// The short runs of so many paths without a socket are remembered.
const REMEMBERED: usize = 1024;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Start(Socket),
    /// Ask the handler of this path to stop.
    Ask(PathBuf),
    /// Abort the handler of this path.
    Abort(PathBuf),
    /// This socket was gone before its handler could start.
    Skip(SocketId),
}

/// How a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Finished,
    Failed,
}

/// What follows from the end of a handler.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Followup {
    pub(super) id: SocketId,
    /// Whether it had been asked to stop.
    pub(super) asked: bool,
    pub(super) again_in: Option<Duration>,
}

/// Every path that has a handler, will have one, or has had failing ones.
///
/// Memory: an entry for each socket in the directory, and at most [`REMEMBERED`] others.
#[derive(Debug)]
pub(super) struct Posts {
    policy: Policy,
    by_path: HashMap<PathBuf, Post>,
    alarms: BTreeSet<(Instant, PathBuf)>,
    /// Due to start when another has ended, in the order in which they appeared.
    queue: BTreeMap<u64, PathBuf>,
    /// The next number in the queue.
    ticket: u64,
    /// Paths without a socket, and when the last run there ended.
    idle: VecDeque<(Instant, PathBuf)>,
    working: usize,
    actions: VecDeque<Action>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Post {
    worker: Option<Worker>,
    next: Option<Next>,
    /// Short runs in a row.
    strikes: u32,
    last_end: Option<Instant>,
    /// When patience or a pause ends.
    alarm: Option<Instant>,
    /// Its number in the queue.
    queued: Option<u64>,
    is_idle: bool,
}

#[derive(Debug)]
struct Worker {
    socket: Socket,
    since: Instant,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Working,
    Leaving,
    Aborted,
}

#[derive(Debug)]
struct Next {
    socket: Socket,
    /// Whether it has not had a handler yet.
    is_new: bool,
}

impl Posts {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            by_path: HashMap::new(),
            alarms: BTreeSet::new(),
            queue: BTreeMap::new(),
            ticket: 0,
            idle: VecDeque::new(),
            working: 0,
            actions: VecDeque::new(),
            closed: false,
        }
    }

    pub(super) fn handle_added(&mut self, socket: Socket, now: Instant) {
        if self.closed {
            return;
        }
        self.forget(now);
        let path = socket.path.clone();
        let post = self.by_path.entry(path.clone()).or_default();
        post.is_idle = false;
        post.next = Some(Next { socket, is_new: true });
        if post.worker.is_none() {
            self.appoint(&path, now);
        }
    }

    pub(super) fn handle_removed(&mut self, id: &SocketId, now: Instant) {
        let Some(post) = self.by_path.get_mut(&id.path) else { return };
        if let Some(next) = post.next.take_if(|next| next.socket.generation == id.generation) {
            if next.is_new {
                self.actions.push_back(Action::Skip(id.clone()));
            }
            // Its place in the queue is not needed any more.
            if let Some(ticket) = post.queued.take() {
                self.queue.remove(&ticket);
            }
            if post.worker.is_none() {
                self.set_alarm(&id.path, None);
            }
        }
        self.dismiss(&id.path, Some(id), now);
        self.retire(&id.path);
        self.forget(now);
    }

    /// The handler of this path has ended.
    pub(super) fn handle_end(&mut self, path: &Path, ending: Ending, now: Instant) -> Followup {
        let post = self.by_path.get_mut(path).expect("a post lives as long as its worker");
        let worker = post.worker.take().expect("only a worker ends");
        self.working -= 1;
        let is_short = now.saturating_duration_since(worker.since) < self.policy.settled;
        if !is_short {
            post.strikes = 0;
        }
        if is_short || ending == Ending::Failed {
            post.strikes = post.strikes.saturating_add(1);
        }
        post.last_end = Some(now);
        let asked = worker.phase != Phase::Working;
        let id = worker.socket.id();
        let mut again_in = None;
        if !asked && ending == Ending::Failed && !self.closed {
            let pause = self.policy.pause(post.strikes);
            post.next = Some(Next { socket: worker.socket, is_new: false });
            self.set_alarm(path, Some(now + pause));
            again_in = Some(pause);
        } else {
            self.set_alarm(path, None);
            self.appoint(path, now);
        }
        self.retire(path);
        while self.working < self.policy.limit
            && let Some((_, path)) = self.queue.pop_first()
        {
            if let Some(post) = self.by_path.get_mut(&path) {
                post.queued = None;
                if post.alarm.is_none() {
                    self.start(&path, now);
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
            && let Some((_, path)) = self.alarms.pop_first()
        {
            let Some(post) = self.by_path.get_mut(&path) else { continue };
            post.alarm = None;
            match &mut post.worker {
                Some(worker) => {
                    worker.phase = Phase::Aborted;
                    self.actions.push_back(Action::Abort(path));
                }
                None => self.start(&path, now),
            }
        }
    }

    /// All handlers must stop, and none is started any more.
    pub(super) fn close(&mut self, now: Instant) {
        self.closed = true;
        self.queue.clear();
        let paths: Vec<PathBuf> = self.by_path.keys().cloned().collect();
        for path in paths {
            let Some(post) = self.by_path.get_mut(&path) else { continue };
            if let Some(next) = post.next.take() {
                if next.is_new {
                    self.actions.push_back(Action::Skip(next.socket.id()));
                }
                if post.worker.is_none() {
                    self.set_alarm(&path, None);
                }
            }
            self.dismiss(&path, None, now);
        }
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// How many handlers are running.
    pub(super) fn working(&self) -> usize {
        self.working
    }

    /// Asks the handler at `path` to stop, if it is the one meant and has not been asked.
    fn dismiss(&mut self, path: &Path, only: Option<&SocketId>, now: Instant) {
        let Some(worker) = self.by_path.get_mut(path).and_then(|post| post.worker.as_mut()) else { return };
        let is_meant = only.is_none_or(|id| worker.socket.generation == id.generation);
        if is_meant && worker.phase == Phase::Working {
            worker.phase = Phase::Leaving;
            self.actions.push_back(Action::Ask(path.to_owned()));
            self.set_alarm(path, Some(now + self.policy.patience));
        }
    }

    /// Starts the handler of the new socket at `path`, now or after a pause.
    fn appoint(&mut self, path: &Path, now: Instant) {
        let Some(post) = self.by_path.get(path).filter(|post| post.next.is_some()) else { return };
        let pause = self.policy.pause(post.strikes.saturating_sub(self.policy.grace));
        let due = post.last_end.map_or(now, |ended| ended + pause);
        if due > now {
            self.set_alarm(path, Some(due));
        } else {
            self.start(path, now);
        }
    }

    fn start(&mut self, path: &Path, now: Instant) {
        let has_room = self.working < self.policy.limit;
        let Some(post) = self.by_path.get_mut(path).filter(|post| post.worker.is_none() && post.next.is_some()) else {
            return;
        };
        if !has_room {
            if post.queued.is_none() {
                post.queued = Some(self.ticket);
                self.queue.insert(self.ticket, path.to_owned());
                self.ticket += 1;
            }
        } else if let Some(Next { socket, .. }) = post.next.take() {
            self.actions.push_back(Action::Start(socket.clone()));
            post.worker = Some(Worker { socket, since: now, phase: Phase::Working });
            self.working += 1;
        }
    }

    fn set_alarm(&mut self, path: &Path, at: Option<Instant>) {
        let Some(post) = self.by_path.get_mut(path) else { return };
        if let Some(before) = std::mem::replace(&mut post.alarm, at) {
            self.alarms.remove(&(before, path.to_owned()));
        }
        if let Some(at) = at {
            self.alarms.insert((at, path.to_owned()));
        }
    }

    /// Removes the entry of a path without a socket, except for the memory of failures.
    fn retire(&mut self, path: &Path) {
        let Some(post) = self.by_path.get_mut(path) else { return };
        if post.worker.is_some() || post.next.is_some() || post.is_idle {
            return;
        }
        match post.last_end {
            Some(ended) if post.strikes > 0 => {
                post.is_idle = true;
                self.idle.push_back((ended, path.to_owned()));
            }
            _ => {
                self.by_path.remove(path);
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        let memory = self.policy.memory();
        while let Some((ended, _)) = self.idle.front()
            && (self.idle.len() > REMEMBERED || now.saturating_duration_since(*ended) > memory)
            && let Some((ended, path)) = self.idle.pop_front()
        {
            if self.by_path.get(&path).is_some_and(|post| post.is_idle && post.last_end == Some(ended)) {
                self.by_path.remove(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests;
