//! Which sockets there are: decides from listings and `lstat` answers what has changed.
//!
//! Pure: no clock, no descriptor, no task. Whoever drives it asks the filesystem and reports the
//! answers; hints from the kernel never come here, only what a look has found.
//!
//! ```text
//!   handle_listing ──►┌────────┐──► poll_doubt    names to `lstat`: the listing lacked them
//!  handle_sighting ──►│        │
//!     handle_table ──►│ Roster │──► poll_suspect  sockets to connect to: the table lacked them
//!    handle_answer ──►│        │──► poll_change   what to tell the consumer
//!                     └────────┘
//! ```
//!
//! A listing is not a snapshot. `readdir` on a large ext4 directory can miss a file that was there all
//! the time, if it is renamed meanwhile, or show it twice. Hence the rule that carries everything: what a
//! listing shows is there, what it lacks is only *in doubt*, and an absence counts when `lstat` says so.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use unix_diag::Entry;

use crate::event::Reason;
use crate::liveness::{Answer, Evidence, Liveness, Verdict};
use crate::socket::{Facts, Generation, Kind, Socket, SocketId};

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
    /// Somebody listens on an announced socket.
    Ready(Socket),
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
/// Memory: one entry per socket file that is there, nothing for those that are gone.
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
    known: HashMap<OsString, Known>,
    /// How many of them are stale, and therefore taken back.
    stale: usize,
    /// No path that is not in `known` has ever had this generation or a higher one.
    unused: Generation,
    round: u64,
    arrivals: u64,
    doubts: VecDeque<OsString>,
    suspects: VecDeque<OsString>,
    changes: VecDeque<Change>,
}

#[derive(Debug)]
struct Known {
    generation: Generation,
    facts: Facts,
    kind: Kind,
    liveness: Liveness,
    standing: Standing,
    /// The last listing that showed it.
    round: u64,
    /// Its place among all that ever came.
    arrival: u64,
    retry: Retry,
    /// The table has this one at its file, which is another than before.
    rival: Option<Box<Entry>>,
}

/// What the consumer has been told of it last.
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

/// When the table lacks a socket: how often that was so, and when it may be connected to.
#[derive(Clone, Copy, Debug, Default)]
struct Retry {
    /// Tables in a row that lacked a socket which an earlier one had.
    absences: u8,
    connections: u8,
    not_before: Option<Instant>,
}

impl Retry {
    /// Milliseconds between one connection and the next.
    const PAUSES: [u64; 7] = [250, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000];

    fn handle_answer(&mut self, answer: Answer, now: Instant) {
        // A server that accepted is a server that was disturbed.
        let least = if answer == Answer::Accepted { 2 } else { 0 };
        let step = usize::from(self.connections).clamp(least, Self::PAUSES.len() - 1);
        self.connections = (step + 1) as u8;
        self.not_before = Some(now + Duration::from_millis(Self::PAUSES[step]));
    }
}

impl Roster {
    /// For so many changes room is kept when there are none.
    const CHANGES_KEPT: usize = 64;

    /// An empty roster. `dir` is only put in front of names; it is not looked at.
    pub fn new(dir: impl Into<PathBuf>, dot_files: DotFiles) -> Self {
        Self {
            dir: dir.into(),
            dot_files,
            known: HashMap::new(),
            stale: 0,
            unused: Generation::FIRST,
            round: 0,
            arrivals: 0,
            doubts: VecDeque::new(),
            suspects: VecDeque::new(),
            changes: VecDeque::new(),
        }
    }

    /// The directory whose roster this is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether a socket of this name would be announced.
    pub fn admits(&self, name: &OsStr) -> bool {
        self.dot_files.admit(name)
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

    /// How many sockets have come so far: what a table read after this can tell of.
    pub fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// Takes in the kernel's table of sockets, or that there is none to be had.
    ///
    /// `find` looks a file up in it. Sockets that came after the first `arrivals` are not judged by it, because
    /// it may be older than they are. Those it lacks are suspects if it is time to connect to them. One whose file has
    /// another of the kernel's sockets than before comes into [doubt](Self::poll_doubt): if a look finds the same file, it is
    /// another all the same, because a file is bound once.
    pub fn handle_table(&mut self, find: Option<impl Fn(&Facts) -> Option<Entry>>, arrivals: u64, now: Instant) {
        self.suspects.clear();
        for (name, known) in self.known.iter_mut().filter(|(_, known)| known.arrival <= arrivals) {
            if let Some(entry) = find.as_ref().and_then(|find| find(&known.facts)) {
                if known.is_another(&entry) {
                    // Most likely the file is another, too, which only has not been looked at since.
                    known.rival = Some(Box::new(entry));
                    self.doubts.push_back(name.clone());
                    continue;
                }
                known.kind = entry.kind.into();
                known.retry = Retry::default();
                Self::judge(&self.dir, name, known, Liveness::of_entry(&entry), &mut self.stale, &mut self.changes);
                continue;
            }
            let is_time = match known.liveness.is_from_table() {
                // Without a table nothing has vanished from it.
                true => find.is_some(),
                false => known.retry.not_before.is_none_or(|time| time <= now),
            };
            if is_time {
                self.suspects.push_back(name.clone());
            }
        }
    }

    /// The number of the kernel's socket behind a suspect that the table had, and what was known of it.
    pub(crate) fn last_entry(&self, name: &OsStr) -> Option<(u32, Verdict)> {
        let Liveness { verdict, evidence } = self.known.get(name)?.liveness;
        match evidence {
            Evidence::Table { inode, .. } => Some((inode, verdict)),
            _ => None,
        }
    }

    /// A [suspect](Self::poll_suspect) has turned out to be in the kernel's table all the same.
    pub(crate) fn handle_entry(&mut self, name: &OsStr, entry: &Entry) {
        if let Some(known) = self.known.get_mut(name) {
            known.retry = Retry::default();
            Self::judge(&self.dir, name, known, Liveness::of_entry(entry), &mut self.stale, &mut self.changes);
        }
    }

    /// Whether there are sockets to connect to.
    pub fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// How many, at most.
    pub(crate) fn suspects(&self) -> usize {
        self.suspects.len()
    }

    /// The next socket to connect to, in order to learn whether somebody listens.
    pub fn poll_suspect(&mut self) -> Option<(OsString, Facts)> {
        loop {
            let name = self.suspects.pop_front()?;
            if let Some(known) = self.known.get(&name) {
                return Some((name, known.facts));
            }
        }
    }

    /// Takes in what came of connecting to a [suspect](Self::poll_suspect), whose file is `age` old; `None` if it was not
    /// connected to because that is not wanted.
    ///
    /// A socket that the table had, that two in a row have no more, and that cannot be connected to is stale.
    pub fn handle_answer(&mut self, name: &OsStr, answer: Option<(Answer, Kind)>, age: Duration, now: Instant) {
        let Some(known) = self.known.get_mut(name) else { return };
        let was_in_table = known.liveness.is_from_table();
        let is_told = !matches!(answer, None | Some((Answer::Denied | Answer::Failed, _)));
        if let Some((answer, _)) = answer {
            known.retry.handle_answer(answer, now);
        }
        let liveness = match answer {
            _ if was_in_table && !is_told => {
                known.retry.absences = known.retry.absences.saturating_add(1);
                if known.retry.absences < 2 {
                    return;
                }
                let evidence = answer.map_or(Evidence::Vanished, |(answer, _)| Evidence::Connect(answer));
                Liveness { verdict: Verdict::Stale, evidence }
            }
            Some((answer, kind)) => {
                if kind != Kind::Unknown {
                    known.kind = kind;
                }
                Liveness::of_answer(answer, was_in_table, age)
            }
            None => return,
        };
        Self::judge(&self.dir, name, known, liveness, &mut self.stale, &mut self.changes);
    }

    /// Something may have happened to this socket. Says whether it is one that is not known to be served; if so it may be
    /// connected to again.
    pub fn handle_stir(&mut self, name: &OsStr) -> bool {
        match self.known.get_mut(name) {
            Some(known) if known.standing != Standing::Ready => {
                known.retry = Retry::default();
                true
            }
            _ => false,
        }
    }

    /// The next name whose absence from a complete listing wants to be confirmed. A doubt nobody answers
    /// removes nothing.
    pub fn poll_doubt(&mut self) -> Option<OsString> {
        self.doubts.pop_front()
    }

    /// The next change, in the order in which it must be told.
    pub fn poll_change(&mut self) -> Option<Change> {
        let change = self.changes.pop_front();
        if change.is_none() {
            // After a burst.
            self.changes.shrink_to(Self::CHANGES_KEPT);
        }
        change
    }

    /// All sockets now announced, by name. Changes not yet polled are already in it.
    pub fn sockets(&self) -> impl Iterator<Item = Socket> + '_ {
        let announced = self.known.iter().filter(|(_, known)| known.standing != Standing::Stale);
        let mut announced: Vec<_> = announced.collect();
        announced.sort_unstable_by_key(|(name, _)| *name);
        announced.into_iter().map(|(name, known)| known.socket(self.dir.join(name)))
    }

    /// How many sockets are announced.
    pub fn len(&self) -> usize {
        self.known.len() - self.stale
    }

    /// Whether no socket is announced.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn see(&mut self, name: OsString, facts: Facts) {
        let round = self.round;
        if let Some(known) = self.known.get_mut(&name) {
            if !known.facts.is_same_file(&facts) {
                self.arrivals += 1;
                known.facts = facts;
                known.succeed(self.dir.join(&name), self.arrivals, &mut self.stale, &mut self.changes);
            }
            // Otherwise at most a chmod or chown: the same socket, described anew.
            known.facts = facts;
            known.round = round;
            if let Some(entry) = known.rival.take() {
                self.arrivals += 1;
                known.succeed(self.dir.join(&name), self.arrivals, &mut self.stale, &mut self.changes);
                known.kind = entry.kind.into();
                let liveness = Liveness::of_entry(&entry);
                Self::judge(&self.dir, &name, known, liveness, &mut self.stale, &mut self.changes);
            }
            return;
        }
        self.arrivals += 1;
        let known = Known {
            generation: self.unused,
            facts,
            kind: Kind::Unknown,
            liveness: Liveness::UNASKED,
            standing: Standing::Present,
            round,
            arrival: self.arrivals,
            retry: Retry::default(),
            rival: None,
        };
        self.changes.push_back(Change::Added(known.socket(self.dir.join(&name))));
        self.known.insert(name, known);
    }

    fn forget(&mut self, name: &OsStr) {
        let Some(known) = self.known.remove(name) else { return };
        // One number for all paths that are gone, instead of one for each: whatever comes next, at
        // whichever path, lies above every generation that path has had.
        self.unused = self.unused.max(known.generation.next());
        if known.standing == Standing::Stale {
            self.stale -= 1;
        } else {
            let id = SocketId { path: self.dir.join(name), generation: known.generation };
            self.changes.push_back(Change::Removed { id, reason: Reason::Gone });
        }
    }

    /// What a verdict makes of a socket.
    fn judge(
        dir: &Path,
        name: &OsStr,
        known: &mut Known,
        liveness: Liveness,
        stale: &mut usize,
        changes: &mut VecDeque<Change>,
    ) {
        known.liveness = liveness;
        match (known.standing, liveness.verdict) {
            (Standing::Present | Standing::Ready, Verdict::Stale) => {
                known.standing = Standing::Stale;
                *stale += 1;
                let id = SocketId { path: dir.join(name), generation: known.generation };
                changes.push_back(Change::Removed { id, reason: Reason::Stale });
            }
            (Standing::Stale, Verdict::Listening | Verdict::Bound) => {
                known.standing = Standing::Present;
                *stale -= 1;
                known.generation = known.generation.next();
                changes.push_back(Change::Added(known.socket(dir.join(name))));
            }
            _ => {}
        }
        if known.standing == Standing::Present && liveness.verdict == Verdict::Listening {
            known.standing = Standing::Ready;
            changes.push_back(Change::Ready(known.socket(dir.join(name))));
        }
    }
}

impl Known {
    /// Whether the table has another of the kernel's sockets at its file than before.
    ///
    /// That happens where the file of the next has the number of the last, and its time as well, because the clock had not
    /// ticked in between.
    fn is_another(&self, entry: &Entry) -> bool {
        matches!(self.liveness.evidence, Evidence::Table { inode, .. } if inode != entry.inode)
    }

    /// Another socket has taken its path, which has these facts.
    fn succeed(&mut self, path: PathBuf, arrival: u64, stale: &mut usize, changes: &mut VecDeque<Change>) {
        if self.standing == Standing::Stale {
            *stale -= 1;
        } else {
            let id = SocketId { path: path.clone(), generation: self.generation };
            changes.push_back(Change::Removed { id, reason: Reason::Replaced });
        }
        *self = Self {
            generation: self.generation.next(),
            kind: Kind::Unknown,
            liveness: Liveness::UNASKED,
            standing: Standing::Present,
            arrival,
            retry: Retry::default(),
            rival: None,
            ..*self
        };
        changes.push_back(Change::Added(self.socket(path)));
    }

    fn socket(&self, path: PathBuf) -> Socket {
        let Self { generation, facts, kind, liveness, .. } = *self;
        Socket { path, generation, facts, kind, liveness }
    }
}

impl DotFiles {
    /// Whether a file of this name counts.
    pub fn admit(self, name: &OsStr) -> bool {
        match self {
            Self::Ignored => name.as_bytes().first() != Some(&b'.'),
            Self::Reported => true,
        }
    }
}
