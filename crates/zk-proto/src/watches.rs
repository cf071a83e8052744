//! Who watches what: the watches of a session, across its connections.
//!
//! A server's watch belongs to a connection and is named by a path and a [`WatchKind`]. A user's watch is named by a
//! [`WatchId`]. Any number of users share one watch of the server:
//!
//! ```text
//!   asked ──reply──► registered ──event (one-shot kinds)──► over
//!     │                  │ ▲
//!     │     lost         ▼ │ SetWatches
//!     └──────────────► missing          the connection ended, and the next one does not have it yet
//! ```
//!
//! Events, replies and the end of a connection have to be given in the order in which they came: a watch is registered by
//! the reply to its request, so an event before that reply belongs to an older watch.

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

/// Where a user's watch is.
#[derive(Debug)]
struct Place {
    path: Arc<str>,
    /// `None` until the reply says which kind it became.
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
    /// How many users there are, those whose request has no reply yet included.
    #[must_use]
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// How many watches the present connection has.
    #[must_use]
    pub fn on_server(&self) -> usize {
        self.paths.values().flat_map(|entry| &entry.groups).filter(|group| group.on_server).count()
    }

    /// The persistent watch on the same path, if there is one, because of which a watch for one event needs none of its own on the
    /// server.
    ///
    /// It must not have one: a server before 3.9 keeps one watch of a connection on a path, and would forget the persistent one
    /// (ZOOKEEPER-4466).
    #[must_use]
    pub fn covering(&self, path: &str, asked: Asked) -> Option<WatchKind> {
        self.paths.get(path)?.will_cover(asked)
    }

    /// Takes note of a request that leaves a watch. Call [`forget`](Self::forget) if the request fails without a reply.
    /// `covering` is the watch that makes one of its own unnecessary.
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

    /// Takes note that the server has registered a watch. The user may be gone already; the server's watch exists all the
    /// same, and its path is returned if it is an [orphan](Self::is_orphan) now.
    pub fn handle_registered(&mut self, user: WatchId, path: &str, kind: WatchKind) -> Option<Arc<str>> {
        self.add_user(user, path, kind, true)?;
        self.orphan(path)
    }

    /// Takes note that a request was answered whose watch is [covered](Self::covering) by a persistent one. `false` if that is
    /// not there any more: then the server has to be asked for this one.
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
        // Requests that rely on it keep others from taking its place.
        let relied_on = entry.is_relied_on(kind);
        let group = entry.group(kind);
        group.on_server |= on_server;
        group.covers |= on_server && relied_on;
        if let Some(place) = self.users.get_mut(&user).filter(|place| place.kind.is_none()) {
            place.kind = Some(kind);
            group.users.push(user);
            // Without its user, a request for another watch may have been made in the meantime that did not count on it.
            group.covers |= on_server && kind.is_persistent();
            let (asked, covering) = (place.asked, place.covering);
            entry.count_asked(asked, covering, false);
        }
        Some(())
    }

    /// Removes a user's watch. The path is returned if it is an [orphan](Self::is_orphan) now.
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

    /// Whether the present connection has watches at a path that no user waits for: they are to be removed with one
    /// [`RemoveWatches`](crate::RemoveWatches) of every type. While a single user is left, they stay: a server before 3.9
    /// cannot remove one kind without another.
    #[must_use]
    pub fn is_orphan(&self, path: &str) -> bool {
        self.paths.get(path).is_some_and(|entry| !entry.has_users() && entry.is_on_server())
    }

    fn orphan(&self, path: &str) -> Option<Arc<str>> {
        let (path, _) = self.paths.get_key_value(path)?;
        self.is_orphan(path).then(|| Arc::clone(path))
    }

    /// Takes note that the server is asked to remove all watches of this connection at a path: what is asked of it later cannot
    /// count on them.
    pub fn handle_removed(&mut self, path: &str) {
        let Some(entry) = self.paths.get_mut(path) else { return };
        entry.groups.iter_mut().for_each(Group::set_gone);
        self.tidy(path);
    }

    /// Which users an event is for. One-shot watches are over with it. The path is returned beside if it is an
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

    /// Drops what is kept of a path at which nothing is watched.
    fn tidy(&mut self, path: &str) {
        if self.paths.get(path).is_some_and(|entry| !entry.has_users() && !entry.is_on_server()) {
            self.paths.remove(path);
        }
    }

    /// Takes note that the connection ended, and the server's watches with it.
    pub fn handle_lost(&mut self) {
        self.paths.values_mut().flat_map(|entry| &mut entry.groups).for_each(Group::set_gone);
        self.paths.retain(|_, entry| entry.has_users());
    }

    /// Forgets every watch: the session is over.
    pub fn clear(&mut self) {
        self.paths.clear();
        self.users.clear();
    }

    /// The users of persistent watches: they have missed what happened between two connections.
    #[must_use]
    pub fn persistent_users(&self) -> Vec<WatchId> {
        let persistent = |place: &Place| place.kind.is_some_and(WatchKind::is_persistent);
        self.users.iter().filter(|(_, place)| persistent(place)).map(|(user, _)| *user).collect()
    }
}

/// A path and all paths above it, up to the root.
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
