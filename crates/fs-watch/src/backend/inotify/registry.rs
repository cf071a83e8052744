//! Which watcher wants the events of which watch. No system call is made here.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};

use crate::event::Why;
use crate::hints::Hints;

/// What a directory is to a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The directory itself: every name in it counts.
    Directory,
    /// One above it, in which this name leads on.
    Anchor(OsString),
}

/// What a watcher wants, as far as it is to be had.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) watches: Vec<(i32, Role)>,
    pub(super) trouble: Option<Why>,
}

/// What an event says, once it is known whom it concerns.
#[derive(Clone, Copy, Debug)]
pub(super) enum News<'a> {
    /// Something about this name.
    Name(&'a OsStr),
    /// The directory itself was moved, deleted, unmounted, or has other permissions.
    Itself,
    /// The watch is no more, and its number is not used again.
    Ended,
}

#[derive(Debug, Default)]
pub(super) struct Registry {
    last: u64,
    /// Goes up whenever the kernel says that a watch has ended: a member may have been given its number before, and not have
    /// registered it yet.
    epoch: u64,
    by_watch: HashMap<i32, Vec<(u64, Role)>>,
    members: BTreeMap<u64, Member>,
}

#[derive(Debug)]
struct Member {
    hints: Hints,
    watches: Vec<i32>,
}

impl Registry {
    pub(super) fn admit(&mut self, hints: &Hints) -> u64 {
        self.last += 1;
        self.members.insert(self.last, Member { hints: hints.clone(), watches: Vec::new() });
        self.last
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What this member wants from now on, in watches that were made after `epoch` was read. Gives the watches that are wanted
    /// no longer; `None` if one of the new ones may have ended meanwhile: then begin again.
    pub(super) fn register(&mut self, number: u64, wanted: &Wanted, epoch: u64) -> Option<Vec<i32>> {
        if epoch != self.epoch {
            return None;
        }
        let Some(member) = self.members.get_mut(&number) else { return Some(Vec::new()) };
        let had = std::mem::take(&mut member.watches);
        member.watches = wanted.watches.iter().map(|(watch, _)| *watch).collect();
        for watch in &had {
            self.strike(*watch, number);
        }
        for (watch, role) in &wanted.watches {
            self.by_watch.entry(*watch).or_default().push((number, role.clone()));
        }
        Some(self.take_unwanted(&had))
    }

    /// Gives the watches that are wanted no longer, and whether it was the last member. One that is gone is not.
    pub(super) fn dismiss(&mut self, number: u64) -> (Vec<i32>, bool) {
        let Some(member) = self.members.remove(&number) else { return (Vec::new(), false) };
        for watch in &member.watches {
            self.strike(*watch, number);
        }
        (self.take_unwanted(&member.watches), self.members.is_empty())
    }

    /// Whom an event of this watch concerns: `true` if they are to look at everything.
    pub(super) fn concerned(&mut self, watch: i32, news: News<'_>) -> Vec<(Hints, bool)> {
        if matches!(news, News::Ended) {
            // Also one that is not known here: somebody may have been given it a moment ago.
            self.epoch += 1;
        }
        let Some(wanting) = self.by_watch.get(&watch) else { return Vec::new() };
        let concerned = wanting.iter().filter_map(|(number, role)| {
            let hints = &self.members.get(number)?.hints;
            match (news, role) {
                (News::Itself | News::Ended, _) => Some((hints.clone(), true)),
                (News::Name(name), Role::Anchor(anchor)) => (name == anchor).then(|| (hints.clone(), true)),
                (News::Name(_), Role::Directory) => Some((hints.clone(), false)),
            }
        });
        let concerned = concerned.collect();
        if matches!(news, News::Ended) {
            self.by_watch.remove(&watch);
        }
        concerned
    }

    pub(super) fn all(&self) -> Vec<Hints> {
        self.members.values().map(|member| member.hints.clone()).collect()
    }

    fn strike(&mut self, watch: i32, number: u64) {
        if let Some(wanting) = self.by_watch.get_mut(&watch) {
            wanting.retain(|(member, _)| *member != number);
        }
    }

    fn take_unwanted(&mut self, candidates: &[i32]) -> Vec<i32> {
        let mut unwanted = Vec::new();
        for watch in candidates {
            if self.by_watch.get(watch).is_some_and(Vec::is_empty) {
                self.by_watch.remove(watch);
                unwanted.push(*watch);
            }
        }
        unwanted
    }
}
