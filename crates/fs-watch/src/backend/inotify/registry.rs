//! The subscribers, and which watches each needs. No system call is made here.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};

use crate::event::Why;
use crate::hints::Hints;

/// What a directory is for a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The directory itself: every name in it counts.
    Directory,
    /// A directory above it, in which this name leads further.
    Anchor(OsString),
}

/// What a watcher needs, as far as it is available.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) watches: Vec<(i32, Role)>,
    pub(super) trouble: Option<Why>,
}

/// What an event means, for its subscribers.
#[derive(Clone, Copy, Debug)]
pub(super) enum News<'a> {
    /// Something happened to this name.
    Name(&'a OsStr),
    /// The directory itself was moved, deleted, unmounted, or has other permissions.
    Itself,
    /// The watch has ended, and its number is not reused.
    Ended,
}

#[derive(Debug, Default)]
pub(super) struct Registry {
    last: u64,
    /// Increases whenever the kernel says that a watch has ended. A subscriber may have been given the number before
    /// that, and not have registered it yet.
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

    /// Sets what this subscriber needs from now on, with watches that were made after `epoch` was read. Returns the
    /// watches that are not needed any more; `None` if one of the new ones may have ended meanwhile: then start again.
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

    /// Removes a subscriber. Returns the watches that are not needed any more, and whether it was the last. One that is
    /// gone is not.
    pub(super) fn dismiss(&mut self, number: u64) -> (Vec<i32>, bool) {
        let Some(member) = self.members.remove(&number) else { return (Vec::new(), false) };
        for watch in &member.watches {
            self.strike(*watch, number);
        }
        (self.take_unwanted(&member.watches), self.members.is_empty())
    }

    /// The subscribers of an event of this watch; `true` if they must scan everything.
    pub(super) fn concerned(&mut self, watch: i32, news: News<'_>) -> Vec<(Hints, bool)> {
        if matches!(news, News::Ended) {
            // Even if it is unknown here: a subscriber may have been given it a moment ago.
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

    /// Events were dropped, among them perhaps the end of a watch. All subscribers must scan everything and arm again.
    pub(super) fn overflow(&mut self) -> Vec<Hints> {
        self.epoch += 1;
        self.all()
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
