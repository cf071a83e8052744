//! The watches of a session, across its connections.
//!
//! A server's watch belongs to a connection; a path and a [`WatchKind`] identify it. A user's watch has a [`WatchId`].
//! Any number of users share one watch on the server:
//!
//! ```text
//!   asked ──reply──► registered ──event (one-shot kinds)──► over
//!     │                  │ ▲
//!     │     lost         ▼ │ SetWatches
//!     └──────────────► missing          the connection ended, and the next one does not have it yet
//! ```
//!
//! Pass events, replies and the end of a connection in the order in which they occurred. The reply to a request
//! registers its watch, so an event before that reply belongs to an older watch.

use std::{
    collections::{BTreeMap, btree_map},
    sync::Arc,
};

use crate::numbers::EventType;

mod batches;
mod entry;
mod kind;

pub use batches::Batch;
pub use kind::{Asked, WatchId, WatchKind};

use entry::{Entry, Group};

/// The state of a user's watch.
#[derive(Debug)]
struct Place {
    path: Arc<str>,
    /// `None` until the reply decides which kind it is.
    kind: Option<WatchKind>,
    asked: Asked,
    covering: Option<WatchKind>,
}

/// The watches of one session. See the [module](self) page.
#[derive(Debug, Default)]
pub struct Watches {
    paths: BTreeMap<Arc<str>, Entry>,
    users: BTreeMap<WatchId, Place>,
}

impl Watches {
    /// The number of users, including those whose request has no reply yet.
    #[must_use]
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// The number of watches that the current connection has.
    #[must_use]
    pub fn on_server(&self) -> usize {
        self.paths.values().flat_map(|entry| &entry.groups).filter(|group| group.on_server).count()
    }

    /// The persistent watch on the same path, if there is one, that makes a one-shot watch on the server unnecessary.
    ///
    /// The one-shot watch must not be set: a server before 3.9 keeps one watch per connection and path, and would drop
    /// the persistent one (ZOOKEEPER-4466).
    #[must_use]
    pub fn covering(&self, path: &str, asked: Asked) -> Option<WatchKind> {
        self.paths.get(path)?.will_cover(asked)
    }

    /// Records a request that leaves a watch. Call [`forget`](Self::forget) if the request fails without a reply.
    /// `covering` is the watch that makes a separate one unnecessary.
    pub fn ask(&mut self, user: WatchId, path: &str, asked: Asked, covering: Option<WatchKind>) {
        let path: Arc<str> = match self.paths.get_key_value(path) {
            Some((path, _)) => Arc::clone(path),
            None => path.into(),
        };
        if let btree_map::Entry::Vacant(vacant) = self.users.entry(user) {
            vacant.insert(Place { path: Arc::clone(&path), kind: None, asked, covering });
            self.paths.entry(path).or_default().count_asked(asked, covering, true);
        }
    }

    /// Records that the server has registered a watch. The watch exists on the server even if its user is gone already;
    /// then its path is returned if it is an [orphan](Self::is_orphan) now.
    pub fn handle_registered(&mut self, user: WatchId, path: &str, kind: WatchKind) -> Option<Arc<str>> {
        self.add_user(user, path, kind, true)?;
        self.orphan(path)
    }

    /// Records the reply to a request whose watch is [covered](Self::covering) by a persistent one. Returns `false` if
    /// that watch no longer exists: then you must ask the server for a separate one.
    #[must_use]
    pub fn handle_covered(&mut self, user: WatchId, path: &str, kind: WatchKind, asked: Asked) -> bool {
        if !self.users.contains_key(&user) {
            return true;
        }
        let covered = self.paths.get(path).is_some_and(|entry| entry.is_covering(asked));
        self.add_user(user, path, kind, !covered);
        covered
    }

    fn add_user(&mut self, user: WatchId, path: &str, kind: WatchKind, on_server: bool) -> Option<()> {
        if !self.paths.contains_key(path) {
            self.paths.insert(path.into(), Entry::default());
        }
        let entry = self.paths.get_mut(path)?;
        // Requests that rely on it keep other watches from replacing it.
        let relied_on = entry.is_relied_on(kind);
        let group = entry.group(kind);
        group.on_server |= on_server;
        group.covers |= on_server && relied_on;
        if let Some(place) = self.users.get_mut(&user).filter(|place| place.kind.is_none()) {
            place.kind = Some(kind);
            group.users.push(user);
            // While it had no user, a request for another watch may have been made that did not rely on it.
            group.covers |= on_server && kind.is_persistent();
            let (asked, covering) = (place.asked, place.covering);
            entry.count_asked(asked, covering, false);
        }
        Some(())
    }

    /// Removes a user's watch. Returns the path if it is an [orphan](Self::is_orphan) now.
    pub fn forget(&mut self, user: WatchId) -> Option<Arc<str>> {
        let place = self.users.remove(&user)?;
        let entry = self.paths.get_mut(&place.path)?;
        match place.kind {
            None => entry.count_asked(place.asked, place.covering, false),
            Some(kind) => entry.group(kind).users.retain(|other| *other != user),
        }
        self.tidy(&place.path);
        self.orphan(&place.path)
    }

    /// Whether the current connection has watches at a path that has no users. Remove them with one
    /// [`RemoveWatches`](crate::RemoveWatches) of every type. As long as one user is left, they all stay: a server
    /// before 3.9 cannot remove one kind without the others.
    #[must_use]
    pub fn is_orphan(&self, path: &str) -> bool {
        self.paths.get(path).is_some_and(|entry| !entry.has_users() && entry.is_on_server())
    }

    fn orphan(&self, path: &str) -> Option<Arc<str>> {
        let (path, _) = self.paths.get_key_value(path)?;
        self.is_orphan(path).then(|| Arc::clone(path))
    }

    /// Records that the server is being asked to remove all watches of this connection at a path. Later requests cannot
    /// rely on them.
    pub fn handle_removed(&mut self, path: &str) {
        let Some(entry) = self.paths.get_mut(path) else { return };
        entry.groups.iter_mut().for_each(Group::set_gone);
        self.tidy(path);
    }

    /// Returns the users that an event is for, and ends their one-shot watches. Also returns the path if it is an
    /// [orphan](Self::is_orphan) now.
    pub fn handle_event(&mut self, event: EventType, path: &str) -> (Vec<WatchId>, Option<Arc<str>>) {
        use WatchKind::{Child, Data, Exist, Persistent, PersistentRecursive};
        let fired: &[WatchKind] = match event {
            EventType::Created | EventType::DataChanged => &[Data, Exist, Persistent],
            EventType::Deleted => &[Data, Exist, Child, Persistent],
            EventType::ChildrenChanged => &[Child, Persistent],
            _ => return (Vec::new(), None),
        };
        let mut users = Vec::new();
        if let Some(entry) = self.paths.get_mut(path) {
            for kind in fired {
                let group = entry.group(*kind);
                if kind.is_persistent() {
                    users.extend_from_slice(&group.users);
                } else {
                    group.on_server = false;
                    users.append(&mut group.users);
                }
            }
            users.iter().for_each(|user| self.end(*user));
            self.tidy(path);
        }
        if event != EventType::ChildrenChanged {
            for above in ancestors(path) {
                if let Some(entry) = self.paths.get_mut(above) {
                    users.extend_from_slice(&entry.group(PersistentRecursive).users);
                }
            }
        }
        (users, self.orphan(path))
    }

    /// Forgets a user whose one-shot watch is over.
    fn end(&mut self, user: WatchId) {
        let over = |place: &Place| place.kind.is_some_and(|kind| !kind.is_persistent());
        if self.users.get(&user).is_some_and(over) {
            self.users.remove(&user);
        }
    }

    /// Drops the state of a path that has no watches.
    fn tidy(&mut self, path: &str) {
        if self.paths.get(path).is_some_and(|entry| !entry.has_users() && !entry.is_on_server()) {
            self.paths.remove(path);
        }
    }

    /// Records that the connection ended, and the server's watches with it.
    pub fn handle_lost(&mut self) {
        self.paths.values_mut().flat_map(|entry| &mut entry.groups).for_each(Group::set_gone);
        self.paths.retain(|_, entry| entry.has_users());
    }

    /// Forgets every watch, because the session is over.
    pub fn clear(&mut self) {
        self.paths.clear();
        self.users.clear();
    }

    /// The users of persistent watches, which have missed what happened between two connections.
    #[must_use]
    pub fn persistent_users(&self) -> Vec<WatchId> {
        let persistent = |place: &Place| place.kind.is_some_and(WatchKind::is_persistent);
        self.users.iter().filter(|(_, place)| persistent(place)).map(|(user, _)| *user).collect()
    }
}

/// A path and all of its ancestors, up to the root.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rfind('/') {
        _ if *path == "/" => None,
        Some(0) => Some("/"),
        Some(end) => path.get(..end),
        None => None,
    })
}

#[cfg(test)]
mod tests;
