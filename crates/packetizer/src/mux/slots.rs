//! The pending calls, and how a reply finds its call.
//!
//! There is one table of slots. Lanes are lists linked through it, and tags are keys into it. Everything except
//! shrinking takes constant time. A lane exists only while a call is in it, and indices are reused, so memory follows
//! the number of pending calls.

use std::{collections::hash_map::Entry, time::Instant};

use super::hash::Map;
use crate::{
    error::Fault,
    options::Urgency,
    protocol::{ErrorOf, Protocol, Route, RouteOf},
};

/// If an empty table has more slots than this, its memory is released.
const KEPT: usize = 4 << 10;

/// Identifies a call that was made, so that you can [`cancel`](crate::Mux::cancel) it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId {
    pub(super) index: u32,
    /// Never reused, so a late cancellation cannot hit another call.
    pub(super) sequence: u64,
}

/// How far a request has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits in its queue of the outbox, under this number.
    Queued(u64),
    /// It was handed to the connection, under this number, and its last byte is not written.
    Taken(u64),
    /// Its last byte was written: it may have been executed.
    Sent,
}

/// A call that waits for its reply.
pub(super) struct Slot<P: Protocol, W> {
    pub(super) route: RouteOf<P>,
    pub(super) context: P::Context,
    /// Where the reply goes; `None` once the call was cancelled, or its deadline has passed.
    pub(super) waiter: Option<W>,
    pub(super) urgency: Urgency,
    pub(super) deadline: Option<Instant>,
    pub(super) stage: Stage,
    pub(super) sequence: u64,
    /// Its neighbours in the lane, while it is in one.
    older: Option<u32>,
    newer: Option<u32>,
}

impl<P: Protocol, W> Slot<P, W> {
    pub(super) const fn new(route: RouteOf<P>, context: P::Context, waiter: W, urgency: Urgency) -> Self {
        Self {
            route,
            context,
            waiter: Some(waiter),
            urgency,
            deadline: None,
            stage: Stage::Queued(0),
            sequence: 0,
            older: None,
            newer: None,
        }
    }
}

/// A lane's ends: requests in the order in which they were handed to the connection.
struct Lane {
    oldest: u32,
    newest: u32,
}

pub(super) struct Slots<P: Protocol, W> {
    table: Vec<Option<Slot<P, W>>>,
    free: Vec<u32>,
    lanes: Map<P::Lane, Lane>,
    tags: Map<P::Tag, u32>,
    made: u64,
}

impl<P: Protocol, W> Slots<P, W> {
    pub(super) fn new() -> Self {
        Self { table: Vec::new(), free: Vec::new(), lanes: Map::default(), tags: Map::default(), made: 0 }
    }

    /// Calls that wait.
    pub(super) fn len(&self) -> usize {
        self.table.len() - self.free.len()
    }

    /// Whether a call with this route could be mistaken for another.
    pub(super) fn is_taken(&self, route: &RouteOf<P>) -> bool {
        match route {
            Route::Lane { .. } => false,
            Route::Tag(tag) => self.tags.contains_key(tag),
        }
    }

    /// The index that the next slot gets.
    pub(super) fn next_index(&self) -> u32 {
        let fresh = || u32::try_from(self.table.len()).expect("fewer than 2^32 calls wait");
        self.free.last().copied().unwrap_or_else(fresh)
    }

    pub(super) fn insert(&mut self, mut slot: Slot<P, W>) -> CallId {
        let index = self.next_index();
        slot.sequence = self.made;
        self.made += 1;
        let id = CallId { index, sequence: slot.sequence };
        if let Route::Tag(tag) = &slot.route {
            self.tags.insert(tag.clone(), index);
        }
        match self.free.pop() {
            Some(index) => {
                if let Some(place) = self.table.get_mut(index as usize) {
                    *place = Some(slot);
                }
            }
            None => self.table.push(Some(slot)),
        }
        id
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Slot<P, W>> {
        self.table.get_mut(index as usize)?.as_mut()
    }

    pub(super) fn get(&self, index: u32) -> Option<&Slot<P, W>> {
        self.table.get(index as usize)?.as_ref()
    }

    /// The slot of a call that has not ended.
    pub(super) fn find(&mut self, id: CallId) -> Option<&mut Slot<P, W>> {
        self.get_mut(id.index).filter(|slot| slot.sequence == id.sequence)
    }

    /// Records that a request was handed to the connection. From here on its place in its lane is fixed.
    pub(super) fn handle_taken(&mut self, index: u32, number: u64) {
        let Some(slot) = self.get_mut(index) else { return };
        slot.stage = Stage::Taken(number);
        let Route::Lane { lane, .. } = slot.route else { return };
        let before = match self.lanes.entry(lane) {
            Entry::Vacant(vacant) => {
                vacant.insert(Lane { oldest: index, newest: index });
                None
            }
            Entry::Occupied(mut lane) => Some(std::mem::replace(&mut lane.get_mut().newest, index)),
        };
        if let Some(slot) = self.get_mut(index) {
            slot.older = before;
            slot.newer = None;
        }
        if let Some(before) = before.and_then(|before| self.get_mut(before)) {
            before.newer = Some(index);
        }
    }

    /// Removes a slot from its lane. The lane is removed with its last slot.
    pub(super) fn unlink(&mut self, index: u32) {
        let Some(slot) = self.get_mut(index).filter(|slot| !matches!(slot.stage, Stage::Queued(_))) else { return };
        let Route::Lane { lane, .. } = slot.route else { return };
        let (older, newer) = (slot.older.take(), slot.newer.take());
        if let Some(older) = older.and_then(|older| self.get_mut(older)) {
            older.newer = newer;
        }
        if let Some(newer) = newer.and_then(|newer| self.get_mut(newer)) {
            newer.older = older;
        }
        match (older, newer) {
            (None, None) => drop(self.lanes.remove(&lane)),
            (None, Some(newer)) => {
                if let Some(lane) = self.lanes.get_mut(&lane) {
                    lane.oldest = newer;
                }
            }
            (Some(older), None) => {
                if let Some(lane) = self.lanes.get_mut(&lane) {
                    lane.newest = older;
                }
            }
            (Some(_), Some(_)) => {}
        }
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Slot<P, W>> {
        self.unlink(index);
        let slot = self.table.get_mut(index as usize)?.take()?;
        if let Route::Tag(tag) = &slot.route {
            self.tags.remove(tag);
        }
        self.free.push(index);
        if self.len() == 0 && self.table.len() > KEPT {
            *self = Self { made: self.made, ..Self::new() };
        }
        Some(slot)
    }

    /// The call that a reply answers.
    pub(super) fn due(&self, route: &RouteOf<P>) -> Result<u32, Fault<ErrorOf<P>>> {
        let sent = |index: &u32| self.get(*index).is_some_and(|slot| slot.stage == Stage::Sent);
        match route {
            Route::Tag(tag) => {
                let unasked = || Fault::Unasked { lane: None, found: format!("{tag:?}") };
                self.tags.get(tag).copied().filter(sent).ok_or_else(unasked)
            }
            Route::Lane { lane: name, tag } => {
                let unasked = || Fault::Unasked { lane: Some(format!("{name:?}")), found: format!("{tag:?}") };
                let index = self.lanes.get(name).map(|lane| lane.oldest).filter(sent).ok_or_else(unasked)?;
                match self.get(index).map(|slot| &slot.route) {
                    Some(Route::Lane { tag: expected, .. }) if expected == tag => Ok(index),
                    Some(Route::Lane { tag: expected, .. }) => Err(Fault::OutOfOrder {
                        lane: format!("{name:?}"),
                        expected: format!("{expected:?}"),
                        found: format!("{tag:?}"),
                    }),
                    _ => Err(unasked()),
                }
            }
        }
    }

    /// The indices of the slots for which `wanted` returns true, in the order of their calls.
    pub(super) fn in_order(&self, wanted: impl Fn(&Slot<P, W>) -> bool) -> Vec<u32> {
        let mut found: Vec<_> = (0_u32..)
            .zip(&self.table)
            .filter_map(|(index, slot)| slot.as_ref().filter(|slot| wanted(slot)).map(|slot| (slot.sequence, index)))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, index)| index).collect()
    }
}
