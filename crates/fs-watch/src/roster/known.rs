//! One socket: what is known about it, and what the consumer has been told.

use std::ffi::OsStr;
use std::time::Instant;

use socket_file::{Answer, Evidence, Facts, Liveness, SocketKind, Verdict};
use unix_diag::Entry;

use super::change::Changes;
use super::retry::Retry;
use crate::event::Reason;
use crate::socket::{Generation, Socket};

#[derive(Debug)]
pub(super) struct Known {
    pub(super) facts: Facts,
    pub(super) liveness: Liveness,
    /// The last listing that showed it.
    pub(super) round: u64,
    /// Its number among all sockets that ever appeared.
    pub(super) arrival: u64,
    pub(super) retry: Retry,
    generation: Generation,
    kind: Option<SocketKind>,
    standing: Standing,
    /// The table has this socket at its file, which differs from the one before.
    rival: Option<Box<Entry>>,
}

/// What the consumer was last told about it.
///
/// ```text
///   Present ──► Ready          each arrow to Stale: Removed; the one back, which a server in another
///      ▲  ╲      │             network namespace may need: Added
///      └───► Stale ◄
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Present,
    Ready,
    Stale,
}

impl Known {
    /// A socket that has just appeared and must be [announced](Self::announce).
    pub(super) fn new(facts: Facts, generation: Generation, arrival: u64, round: u64) -> Self {
        Self {
            facts,
            liveness: Liveness::UNASKED,
            round,
            arrival,
            retry: Retry::default(),
            generation,
            kind: None,
            standing: Standing::Present,
            rival: None,
        }
    }

    pub(super) fn announce(&self, name: &OsStr, changes: &mut Changes) {
        changes.add(self.socket(name, changes));
    }

    /// It is gone. Returns the first generation that its path has never had.
    pub(super) fn leave(self, name: &OsStr, changes: &mut Changes) -> Generation {
        if self.is_announced() {
            changes.remove(name, self.generation, Reason::Gone);
        }
        self.generation.next()
    }

    /// A scan has found this at its path. `arrivals` is increased if it is another socket.
    pub(super) fn handle_facts(&mut self, name: &OsStr, facts: Facts, arrivals: &mut u64, changes: &mut Changes) {
        if !self.facts.is_same_file(&facts) {
            *arrivals += 1;
            self.succeed(name, facts, *arrivals, changes);
            return;
        }
        // At most a chmod or chown: the same socket with new facts.
        self.facts = facts;
        if let Some(entry) = self.rival.take() {
            *arrivals += 1;
            self.succeed(name, facts, *arrivals, changes);
            self.handle_entry(name, &entry, changes);
        }
    }

    /// The kernel's table has this socket at its file. Returns whether the file must be looked up because of it.
    ///
    /// If the kernel has another socket than before, then most likely the file is another, too, and was not looked up
    /// since. But the next file may have the number of the last one, and the same time, because the clock had not
    /// ticked in between.
    pub(super) fn handle_entry(&mut self, name: &OsStr, entry: &Entry, changes: &mut Changes) -> bool {
        if matches!(self.liveness.evidence, Evidence::Table { inode, .. } if inode != entry.inode) {
            self.rival = Some(Box::new(*entry));
            return true;
        }
        self.kind = entry.kind;
        self.retry = Retry::default();
        self.judge(name, Liveness::of_entry(entry), changes);
        false
    }

    /// What the kernel said about it otherwise, because the table lacks it; `None` if it must not be probed.
    pub(super) fn handle_answer(
        &mut self,
        name: &OsStr,
        answer: Option<(Answer, Option<SocketKind>)>,
        now: Instant,
        changes: &mut Changes,
    ) {
        let was_in_table = self.liveness.is_from_table();
        let age = self.retry.watched(now);
        self.retry.handle_answer(answer.map(|(answer, _)| answer), now);
        let liveness = match answer {
            None | Some((Answer::Denied | Answer::Failed, _)) if was_in_table => {
                if !self.retry.handle_absence() {
                    return;
                }
                let evidence = answer.map_or(Evidence::Vanished, |(answer, _)| Evidence::Connect(answer));
                Liveness { verdict: Verdict::Stale, evidence }
            }
            Some((answer, kind)) => {
                self.kind = kind.or(self.kind);
                Liveness::of_answer(answer, was_in_table, age)
            }
            None => return,
        };
        self.judge(name, liveness, changes);
    }

    /// Whether it is known to be bound and not to listen. It may listen at any moment.
    pub(super) fn is_bound(&self) -> bool {
        self.standing == Standing::Present && self.liveness.verdict == Verdict::Bound
    }

    /// Whether a server is known to listen.
    pub(super) fn is_ready(&self) -> bool {
        self.standing == Standing::Ready
    }

    pub(super) fn is_announced(&self) -> bool {
        self.standing != Standing::Stale
    }

    pub(super) fn socket(&self, name: &OsStr, changes: &Changes) -> Socket {
        let Self { generation, facts, kind, liveness, .. } = *self;
        Socket { path: changes.dir().join(name), generation, facts, kind, liveness }
    }

    /// Another socket has taken its path.
    fn succeed(&mut self, name: &OsStr, facts: Facts, arrival: u64, changes: &mut Changes) {
        if self.is_announced() {
            changes.remove(name, self.generation, Reason::Replaced);
        }
        *self = Self::new(facts, self.generation.next(), arrival, self.round);
        self.announce(name, changes);
    }

    /// Applies a verdict.
    fn judge(&mut self, name: &OsStr, liveness: Liveness, changes: &mut Changes) {
        self.liveness = liveness;
        match (self.standing, liveness.verdict) {
            (Standing::Present | Standing::Ready, Verdict::Stale) => {
                self.standing = Standing::Stale;
                changes.remove(name, self.generation, Reason::Stale);
            }
            (Standing::Stale, Verdict::Listening | Verdict::Bound) => {
                self.standing = Standing::Present;
                self.generation = self.generation.next();
                self.announce(name, changes);
            }
            _ => {}
        }
        if self.standing == Standing::Present && liveness.verdict == Verdict::Listening {
            self.standing = Standing::Ready;
            changes.ready(self.socket(name, changes));
        }
    }
}
