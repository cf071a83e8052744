//! Which sockets there are: decides what has changed, from listings and `lstat` answers.
//!
//! Pure: no clock, no descriptor, no task. The driver queries the filesystem and passes the answers. Hints from the
//! kernel never reach this module; only results of scans do.
//!
//! ```text
//!   handle_listing ──►┌────────┐──► poll_doubt    names to `lstat`: the listing lacked them
//!  handle_sighting ──►│        │
//!     handle_table ──►│ Roster │──► poll_suspect  sockets to connect to: the table lacked them
//!    handle_answer ──►│        │──► poll_change   what to tell the consumer
//!                     └────────┘
//! ```
//!
//! A listing is not a snapshot. If files are renamed meanwhile, `readdir` on a large ext4 directory can miss a file
//! that was there all the time, or show it twice. Hence the most important rule: what a listing shows is there; what it
//! lacks is only *in doubt*, and is gone only when `lstat` says so.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Instant;

use socket_file::{Answer, DotFiles, Evidence, Facts, Liveness, SocketKind, Verdict};
use unix_diag::Entry;

use crate::socket::{Generation, Socket};

mod change;
mod known;
mod retry;
mod scan;
#[cfg(test)]
mod tests;

pub use change::Change;
pub use scan::{Listing, Sighting};

use change::Changes;
use known::Known;

/// The sockets of one directory, as far as scans have shown.
///
/// Memory: one entry for each existing socket file, and nothing for those that are gone.
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
    dot_files: DotFiles,
    known: HashMap<OsString, Known>,
    /// No path that is not in `known` has ever had this generation or a higher one.
    unused: Generation,
    round: u64,
    arrivals: u64,
    doubts: VecDeque<OsString>,
    suspects: VecDeque<OsString>,
    /// Whether the table lacks one of them for the first time.
    is_news: bool,
    /// Whether one was bound and did not listen when it was last probed.
    has_bound: bool,
    changes: Changes,
}

impl Roster {
    /// An empty roster. `dir` is only prefixed to names; the directory itself is not accessed.
    pub fn new(dir: impl Into<PathBuf>, dot_files: DotFiles) -> Self {
        Self {
            dot_files,
            known: HashMap::new(),
            unused: Generation::FIRST,
            round: 0,
            arrivals: 0,
            doubts: VecDeque::new(),
            suspects: VecDeque::new(),
            is_news: false,
            has_bound: false,
            changes: Changes::new(dir.into()),
        }
    }

    /// The directory of this roster.
    pub fn dir(&self) -> &Path {
        self.changes.dir()
    }

    /// Whether a socket of this name would be announced.
    pub fn admits(&self, name: &OsStr) -> bool {
        self.dot_files.admit(name)
    }

    /// Applies the result of one pass over the directory.
    ///
    /// Doubts from an earlier listing are dropped; a complete listing raises its own.
    pub fn handle_listing(&mut self, listing: Listing) {
        self.round += 1;
        self.doubts.clear();
        let (seen, complete) = match listing {
            Listing::Complete(seen) => (seen, true),
            Listing::Partial(seen) => (seen, false),
        };
        self.known.reserve(seen.len().saturating_sub(self.known.len()));
        for (name, facts) in seen {
            if self.admits(&name) {
                self.see(name, facts);
            }
        }
        if complete {
            let lacking = self.known.iter().filter(|(_, known)| known.round != self.round);
            self.doubts.extend(lacking.map(|(name, _)| name.clone()));
            self.doubts.make_contiguous().sort_unstable();
        }
    }

    /// Applies the result of a lookup of one name, whether [`poll_doubt`](Self::poll_doubt) asked for it or not.
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

    /// How many sockets have appeared so far. A table that is read after this can show these.
    pub fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// Applies the kernel's table of sockets, or the fact that there is none.
    ///
    /// `find` searches the table for a file. Sockets that appeared after the first `arrivals` are not judged by it,
    /// because the table may be older than they are. Those that it lacks become suspects if it is time to probe them.
    /// If the kernel now has another socket for a file than before, the file comes into [doubt](Self::poll_doubt): even
    /// if a lookup finds the same file, it is another one, because a file is bound only once.
    pub fn handle_table(&mut self, find: Option<impl Fn(&Facts) -> Option<Entry>>, arrivals: u64, now: Instant) {
        self.suspects.clear();
        self.is_news = false;
        self.has_bound = false;
        for (name, known) in self.known.iter_mut().filter(|(_, known)| known.arrival <= arrivals) {
            if let Some(entry) = find.as_ref().and_then(|find| find(&known.facts)) {
                if known.handle_entry(name, &entry, &mut self.changes) {
                    self.doubts.push_back(name.clone());
                }
                self.has_bound |= known.is_bound();
                continue;
            }
            known.retry.handle_table(now);
            self.has_bound |= known.is_bound();
            let was_in_table = known.liveness.is_from_table();
            let is_time = match was_in_table {
                // If there is no table, nothing has disappeared from it.
                true => find.is_some(),
                false => known.retry.is_due(now),
            };
            if is_time {
                let is_first = find.is_some() && known.retry.handle_lack();
                self.is_news |= was_in_table || is_first;
                self.suspects.push_back(name.clone());
            }
        }
    }

    /// Whether the table lacks a socket that it had, or one that it lacks for the first time. All others stay missing
    /// from it as long as they exist, because a file is bound only once.
    pub(crate) fn misses_another(&self) -> bool {
        self.is_news
    }

    /// The number of the kernel's socket behind a suspect that the table had, and its last verdict.
    pub(crate) fn last_entry(&self, name: &OsStr) -> Option<(u32, Verdict)> {
        let Liveness { verdict, evidence } = self.known.get(name)?.liveness;
        match evidence {
            Evidence::Table { inode, .. } => Some((inode, verdict)),
            _ => None,
        }
    }

    /// A [suspect](Self::poll_suspect) turned out to be in the kernel's table after all.
    pub(crate) fn handle_entry(&mut self, name: &OsStr, entry: &Entry) {
        if let Some(known) = self.known.get_mut(name)
            && known.handle_entry(name, entry, &mut self.changes)
        {
            self.doubts.push_back(name.to_owned());
        }
    }

    /// Whether there are sockets to probe.
    pub fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// How many there are, at most.
    pub(crate) fn suspects(&self) -> usize {
        self.suspects.len()
    }

    /// The next socket to probe, in order to find out whether a server listens.
    pub fn poll_suspect(&mut self) -> Option<(OsString, Facts)> {
        loop {
            let name = self.suspects.pop_front()?;
            if let Some(known) = self.known.get(&name) {
                return Some((name, known.facts));
            }
        }
    }

    /// Applies the kernel's other answer about a [suspect](Self::poll_suspect); `None` if it was not probed.
    ///
    /// The age of its file counts from when a table first lacked it, not from the wall clock, which may have been set.
    /// A socket is stale if the table had it, two tables in a row lack it, and nothing else can be found out.
    pub fn handle_answer(&mut self, name: &OsStr, answer: Option<(Answer, Option<SocketKind>)>, now: Instant) {
        if let Some(known) = self.known.get_mut(name) {
            known.handle_answer(name, answer, now, &mut self.changes);
            self.has_bound |= known.is_bound();
        }
    }

    /// Whether a socket was bound and did not listen when all were last probed.
    pub(crate) fn has_bound(&self) -> bool {
        self.has_bound
    }

    /// Something may have happened to this socket. Returns whether it is one that is not known to be live; if so, it
    /// may be probed again.
    pub fn handle_stir(&mut self, name: &OsStr) -> bool {
        match self.known.get_mut(name) {
            Some(known) if !known.is_ready() => {
                known.retry.restart();
                true
            }
            _ => false,
        }
    }

    /// The next name that a complete listing lacks and that a lookup must confirm as absent. An unanswered doubt
    /// removes nothing.
    pub fn poll_doubt(&mut self) -> Option<OsString> {
        self.doubts.pop_front()
    }

    /// The next change, in the order in which it must be reported.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.poll()
    }

    /// All announced sockets, by name. This already includes changes that were not polled yet.
    pub fn sockets(&self) -> impl Iterator<Item = Socket> + '_ {
        let announced = self.known.iter().filter(|(_, known)| known.is_announced());
        let mut announced: Vec<_> = announced.collect();
        announced.sort_unstable_by_key(|(name, _)| *name);
        announced.into_iter().map(|(name, known)| known.socket(name, &self.changes))
    }

    /// How many sockets are announced.
    pub fn len(&self) -> usize {
        self.changes.announced()
    }

    /// Whether no socket is announced.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn see(&mut self, name: OsString, facts: Facts) {
        match self.known.get_mut(&name) {
            Some(known) => {
                known.round = self.round;
                known.handle_facts(&name, facts, &mut self.arrivals, &mut self.changes);
            }
            None => {
                self.arrivals += 1;
                let known = Known::new(facts, self.unused, self.arrivals, self.round);
                known.announce(&name, &mut self.changes);
                self.known.insert(name, known);
            }
        }
    }

    fn forget(&mut self, name: &OsStr) {
        if let Some(known) = self.known.remove(name) {
            // One number for all paths that are gone, instead of one for each: the next socket at any of these paths
            // has a higher generation than any earlier one there.
            self.unused = self.unused.max(known.leave(name, &mut self.changes));
        }
    }
}
