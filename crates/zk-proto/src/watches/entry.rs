//! The watches at one path.

use super::kind::{Asked, WatchId, WatchKind};

/// The users of one watch on the server.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) users: Vec<WatchId>,
    /// Whether the current connection has it.
    pub(super) on_server: bool,
    /// Whether nothing can have replaced it since: requests made while it was registered relied on it.
    pub(super) covers: bool,
}

impl Group {
    pub(super) const fn set_gone(&mut self) {
        self.on_server = false;
        self.covers = false;
    }
}

/// The watches at one path.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) groups: [Group; 5],
    /// Users whose request has no reply yet.
    asked: usize,
    /// How many of these asked for a persistent watch of each kind.
    asked_node: usize,
    asked_tree: usize,
    /// How many of these asked for no watch, because a persistent watch of each kind covers them. That watch is needed
    /// until they have their replies, even if it has no users.
    riding_node: usize,
    riding_tree: usize,
}

impl Entry {
    pub(super) fn group(&mut self, kind: WatchKind) -> &mut Group {
        let [data, exist, child, persistent, recursive] = &mut self.groups;
        match kind {
            WatchKind::Data => data,
            WatchKind::Exist => exist,
            WatchKind::Child => child,
            WatchKind::Persistent => persistent,
            WatchKind::PersistentRecursive => recursive,
        }
    }

    /// Counts a request as outstanding, or as answered.
    pub(super) fn count_asked(&mut self, asked: Asked, rides: Option<WatchKind>, more: bool) {
        let count = |count: &mut usize| *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
        count(&mut self.asked);
        match asked {
            Asked::Persistent => count(&mut self.asked_node),
            Asked::PersistentRecursive => count(&mut self.asked_tree),
            Asked::Data | Asked::Exists | Asked::Child => {}
        }
        match rides {
            Some(WatchKind::Persistent) => count(&mut self.riding_node),
            Some(WatchKind::PersistentRecursive) => count(&mut self.riding_tree),
            _ => {}
        }
    }

    /// Whether an outstanding request asked for no watch of its own because of this one.
    pub(super) const fn is_relied_on(&self, kind: WatchKind) -> bool {
        match kind {
            WatchKind::Persistent => self.riding_node > 0,
            WatchKind::PersistentRecursive => self.riding_tree > 0,
            WatchKind::Data | WatchKind::Exist | WatchKind::Child => false,
        }
    }

    /// Whether a connection needs this watch.
    pub(super) fn needs(&self, kind: WatchKind) -> bool {
        self.is_relied_on(kind) || self.groups.get(kind as usize).is_some_and(|group| !group.users.is_empty())
    }

    pub(super) fn has_users(&self) -> bool {
        self.asked > 0 || self.groups.iter().any(|group| !group.users.is_empty())
    }

    /// The persistent watch that reports everything a one-shot watch would, and that the server will have when it
    /// executes a request made now.
    pub(super) fn will_cover(&self, asked: Asked) -> Option<WatchKind> {
        let [.., node, tree] = &self.groups;
        let node = node.covers || self.asked_node > 0 || self.needs(WatchKind::Persistent);
        let tree = tree.covers || self.asked_tree > 0 || self.needs(WatchKind::PersistentRecursive);
        Self::covering(asked, node, tree)
    }

    /// Whether such a watch is registered now.
    pub(super) fn is_covering(&self, asked: Asked) -> bool {
        let [.., node, tree] = &self.groups;
        Self::covering(asked, node.covers, tree.covers).is_some()
    }

    const fn covering(asked: Asked, node: bool, tree: bool) -> Option<WatchKind> {
        match asked {
            Asked::Data | Asked::Exists | Asked::Child if node => Some(WatchKind::Persistent),
            Asked::Data | Asked::Exists if tree => Some(WatchKind::PersistentRecursive),
            // A recursive watch does not report changes to lists of children.
            Asked::Data | Asked::Exists | Asked::Child | Asked::Persistent | Asked::PersistentRecursive => None,
        }
    }

    pub(super) fn is_on_server(&self) -> bool {
        self.groups.iter().any(|group| group.on_server)
    }
}
