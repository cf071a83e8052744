//! Which sockets there are: decides from listings and `lstat` answers what has changed.
//!
//! Pure: no clock, no descriptor, no task. Whoever drives it asks the filesystem and reports the
//! answers; hints from the kernel never come here, only what a look has found.
//!
//! ```text
//!   handle_listing ──►┌────────┐──► poll_doubt    names to `lstat`: the listing lacked them
//!  handle_sighting ──►│ Roster │──► poll_change   what to tell the consumer
//!                     └────────┘
//! ```
//!
//! A listing is not a snapshot. `readdir` on a large ext4 directory can miss a file that was there all
//! the time, if it is renamed meanwhile, or show it twice. Hence the rule that carries everything: what a
//! listing shows is there, what it lacks is only *in doubt*, and an absence counts when `lstat` says so.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::event::Reason;
use crate::socket::{Facts, Generation, Socket, SocketId};

#[cfg(test)]
mod tests;

/// Whether names that begin with a dot count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DotFiles {
    /// They are passed over: servers that publish a finished socket by renaming it bind it under such a
    /// name first.
    #[default]
    Ignored,
    /// They are sockets like all others.
    Reported,
}

/// The answer to a look at one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A socket has the name.
    Socket(Facts),
    /// Something that is not a socket has it. A symbolic link is not a socket, wherever it leads.
    Other,
    /// Nothing has it.
    Absent,
    /// The question could not be answered; so nothing follows from it.
    Unknown,
}

/// The sockets one pass over the directory has shown, other files left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// The pass reached the end. Known sockets it lacks come into doubt.
    Complete(Vec<(OsString, Facts)>),
    /// The pass broke off. What it has shown is there; of the rest it says nothing.
    Partial(Vec<(OsString, Facts)>),
}

/// A difference between what was announced and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A socket to announce.
    Added(Socket),
    /// An announced socket to take back.
    Removed {
        /// Which one.
        id: SocketId,
        /// How it went.
        reason: Reason,
    },
}

/// The sockets of one directory, as far as looks have shown.
///
/// Memory: one entry per socket that is there, nothing for those that are gone.
///
/// ```
/// use std::time::UNIX_EPOCH;
/// use fs_watch::{Change, DotFiles, Facts, Listing, Roster, Sighting};
///
/// let facts = Facts { device: 1, inode: 7, birth: Some(UNIX_EPOCH), ctime: UNIX_EPOCH, mode: 0o600, uid: 0, gid: 0 };
/// let mut roster = Roster::new("/run/plugins", DotFiles::Ignored);
/// roster.handle_listing(Listing::Complete(vec![("a.sock".into(), facts)]));
/// assert!(matches!(roster.poll_change(), Some(Change::Added(socket)) if socket.facts == facts));
///
/// // A listing without it proves nothing: the roster asks.
/// roster.handle_listing(Listing::Complete(vec![]));
/// assert_eq!(roster.poll_change(), None);
/// let doubt = roster.poll_doubt().unwrap();
/// roster.handle_sighting(doubt, Sighting::Absent);
/// assert!(matches!(roster.poll_change(), Some(Change::Removed { .. })));
/// ```
#[derive(Debug)]
pub struct Roster {
    dir: PathBuf,
    dot_files: DotFiles,
    known: BTreeMap<OsString, Known>,
    /// No path that is not in `known` has ever had this generation or a higher one.
    unused: Generation,
    round: u64,
    doubts: VecDeque<OsString>,
    changes: VecDeque<Change>,
}

#[derive(Debug)]
struct Known {
    generation: Generation,
    facts: Facts,
    /// The last listing that showed it.
    round: u64,
}

impl Roster {
    /// An empty roster. `dir` is only put in front of names; it is not looked at.
    pub fn new(dir: impl Into<PathBuf>, dot_files: DotFiles) -> Self {
        Self {
            dir: dir.into(),
            dot_files,
            known: BTreeMap::new(),
            unused: Generation::FIRST,
            round: 0,
            doubts: VecDeque::new(),
            changes: VecDeque::new(),
        }
    }

    /// The directory whose roster this is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether a socket of this name would be announced.
    pub fn admits(&self, name: &OsStr) -> bool {
        match self.dot_files {
            DotFiles::Ignored => name.as_bytes().first() != Some(&b'.'),
            DotFiles::Reported => true,
        }
    }

    /// Takes in what one pass over the directory has shown.
    ///
    /// Doubts left from an earlier listing are dropped; a complete listing raises its own.
    pub fn handle_listing(&mut self, listing: Listing) {
        self.round += 1;
        self.doubts.clear();
        let (seen, complete) = match listing {
            Listing::Complete(seen) => (seen, true),
            Listing::Partial(seen) => (seen, false),
        };
        for (name, facts) in seen {
            if self.admits(&name) {
                self.see(name, facts);
            }
        }
        if complete {
            let lacking = self.known.iter().filter(|(_, known)| known.round != self.round);
            self.doubts.extend(lacking.map(|(name, _)| name.clone()));
        }
    }

    /// Takes in the answer to a look at one name, asked for by [`poll_doubt`](Self::poll_doubt) or not.
    pub fn handle_sighting(&mut self, name: OsString, sighting: Sighting) {
        if !self.admits(&name) {
            return;
        }
        match sighting {
            Sighting::Socket(facts) => self.see(name, facts),
            Sighting::Other | Sighting::Absent => self.forget(&name),
            Sighting::Unknown => {}
        }
    }

    /// The next name whose absence from a complete listing wants to be confirmed. A doubt nobody answers
    /// removes nothing.
    pub fn poll_doubt(&mut self) -> Option<OsString> {
        self.doubts.pop_front()
    }

    /// The next change, in the order in which it must be told.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// All sockets now believed to be there, by name. Changes not yet polled are already in it.
    pub fn sockets(&self) -> impl Iterator<Item = Socket> + '_ {
        self.known.iter().map(|(name, known)| Socket::new(self.dir.join(name), known.generation, known.facts))
    }

    /// How many sockets are believed to be there.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no socket is believed to be there.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn see(&mut self, name: OsString, facts: Facts) {
        let round = self.round;
        let generation = match self.known.get_mut(&name) {
            Some(known) if known.facts.is_same_file(&facts) => {
                // At most a chmod or chown: the same socket, described anew.
                known.facts = facts;
                known.round = round;
                return;
            }
            Some(known) => {
                let id = SocketId { path: self.dir.join(&name), generation: known.generation };
                self.changes.push_back(Change::Removed { id, reason: Reason::Replaced });
                known.generation.next()
            }
            None => self.unused,
        };
        let socket = Socket::new(self.dir.join(&name), generation, facts);
        self.changes.push_back(Change::Added(socket));
        self.known.insert(name, Known { generation, facts, round });
    }

    fn forget(&mut self, name: &OsStr) {
        if let Some(Known { generation, .. }) = self.known.remove(name) {
            // One number for all paths that are gone, instead of one for each: whatever comes next, at
            // whichever path, lies above every generation that path has had.
            self.unused = self.unused.max(generation.next());
            let id = SocketId { path: self.dir.join(name), generation };
            self.changes.push_back(Change::Removed { id, reason: Reason::Gone });
        }
    }
}
