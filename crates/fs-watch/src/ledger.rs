//! The books: the roster, and who is still to be asked whether somebody listens. Whoever has them looks, and nobody else
//! meanwhile.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use unix_diag::{Entry, FileId, Table};

use crate::event::{Event, Why};
use crate::eyes;
use crate::health::Bulletin;
use crate::ladder::Ladder;
use crate::liveness::{Probing, Verdict};
use crate::outbox::Outbox;
use crate::probe;
use crate::roster::{Change, Roster};
use crate::socket::Facts;

/// So many sockets that the table lacks are asked for one by one.
const FEW: usize = 64;

#[derive(Debug)]
pub(crate) struct Ledger {
    /// Absolute, so that a later change of the working directory does not matter.
    dir: PathBuf,
    roster: Roster,
    ladder: Ladder,
    probing: Probing,
}

impl Ledger {
    pub(crate) fn new(dir: PathBuf, roster: Roster, probing: Probing) -> Self {
        Self { dir, roster, ladder: Ladder::default(), probing }
    }

    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Lists the directory, and says what kept the listing from being complete.
    pub(crate) fn list(&mut self) -> Option<Why> {
        let (listing, trouble) = eyes::list(&self.dir, self.roster.len(), |name| self.roster.admits(name));
        self.roster.handle_listing(listing);
        while let Some(doubtful) = self.roster.poll_doubt() {
            self.look_at(doubtful);
        }
        trouble
    }

    /// Looks at names that something was hinted about.
    pub(crate) fn look_at_each(&mut self, names: HashSet<OsString>) {
        let now = Instant::now();
        for name in names {
            if self.roster.admits(&name) {
                let is_waiting = self.roster.handle_stir(&name);
                if is_waiting && self.probing != Probing::Off {
                    self.ladder.handle_arrival(self.roster.dir().join(&name), now);
                }
                self.look_at(name);
            }
        }
    }

    fn look_at(&mut self, name: OsString) {
        let sighting = eyes::look_at(&self.dir, &name);
        self.roster.handle_sighting(name, sighting);
    }

    /// When to [`judge`](Self::judge) on account of sockets that have come lately, or to [`ask`](Self::ask).
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.roster.has_suspects() { Some(now) } else { self.ladder.deadline() }
    }

    /// Whether sockets that have come lately want to be judged now.
    pub(crate) fn must_judge(&self, now: Instant) -> bool {
        self.ladder.deadline().is_some_and(|due| due <= now)
    }

    /// Whether to judge with a look that nobody waits for.
    pub(crate) fn may_judge(&self, now: Instant) -> bool {
        self.probing != Probing::Off && !self.ladder.is_resting(now)
    }

    /// Takes in the kernel's table. Says whether it lacks somebody who is now to be connected to.
    pub(crate) fn judge(&mut self, poll: &Poll) -> bool {
        let find = poll.has_table().then_some(|facts: &Facts| poll.find(facts));
        self.roster.handle_table(find, poll.arrivals, poll.began);
        while let Some(doubtful) = self.roster.poll_doubt() {
            self.look_at(doubtful);
        }
        self.ladder.handle_round(poll.began, Instant::now());
        self.roster.has_suspects()
    }

    /// Connects to some of those whom the table lacks.
    pub(crate) fn ask(&mut self, most: usize) {
        for _ in 0..most {
            let Some((name, facts)) = self.roster.poll_suspect() else { return };
            if self.is_still_there(&name, &facts) {
                continue;
            }
            let path = self.dir.join(&name);
            let answer = (self.probing == Probing::TableAndConnect).then(|| probe::ask(&path, &facts));
            let age = SystemTime::now().duration_since(facts.ctime).unwrap_or_default();
            self.roster.handle_answer(&name, answer, age, Instant::now());
        }
    }

    /// Whether a suspect is in the kernel's table all the same, asked for by its number: then it is left in peace, and a
    /// refusal, which is what a socket says that is bound and does not listen, would prove nothing.
    ///
    /// A question costs as much as a table. When many have gone at once it is put for those alone to whom it makes a
    /// difference.
    fn is_still_there(&mut self, name: &OsStr, facts: &Facts) -> bool {
        let Some((number, verdict)) = self.roster.last_entry(name) else { return false };
        if verdict == Verdict::Listening && self.roster.suspects() > FEW {
            return false;
        }
        match unix_diag::find(number) {
            Ok(Some(entry)) if entry.file == Some(file_id(facts)) => {
                self.roster.handle_entry(name, &entry);
                true
            }
            Ok(_) => false,
            // Nothing follows from a question that failed.
            Err(_) => true,
        }
    }

    /// The changes found since the last time, to be told.
    pub(crate) fn take_changes(&mut self) -> impl Iterator<Item = Event> {
        let Self { roster, ladder, probing, .. } = self;
        let now = Instant::now();
        std::iter::from_fn(move || {
            let change = roster.poll_change()?;
            match &change {
                Change::Added(socket) if *probing != Probing::Off => ladder.handle_arrival(socket.path.clone(), now),
                Change::Added(_) => {}
                Change::Ready(socket) => ladder.handle_settled(&socket.path),
                Change::Removed { id, .. } => ladder.handle_settled(&id.path),
            }
            Some(change.into())
        })
    }

    /// Tells the changes, and what is to be said before and after them.
    pub(crate) fn publish(&mut self, Bulletin { before, after }: Bulletin, outbox: &Outbox) {
        outbox.push(before.into_iter().chain(self.take_changes()).chain(after));
    }
}

/// The kernel's table at one moment.
#[derive(Debug)]
pub(crate) struct Poll {
    arrivals: u64,
    /// What any of them has is there. A table that comes in several pieces may lack a socket whose neighbour was closed in
    /// between.
    tables: Vec<Table>,
    began: Instant,
}

impl Poll {
    /// Reads the table. `arrivals` is the roster's count before.
    pub(crate) fn take(arrivals: u64, probing: Probing) -> Self {
        let began = Instant::now();
        let table = (probing != Probing::Off).then(Table::read).and_then(Result::ok);
        Self { arrivals, tables: table.into_iter().collect(), began }
    }

    /// Reads it once more, and says whether that gave anything.
    pub(crate) fn take_again(&mut self) -> bool {
        let again = if self.has_table() { Table::read().ok() } else { None };
        let len = self.tables.len();
        self.tables.extend(again);
        self.tables.len() > len
    }

    fn has_table(&self) -> bool {
        !self.tables.is_empty()
    }

    fn find(&self, facts: &Facts) -> Option<Entry> {
        self.tables.iter().find_map(|table| table.get(file_id(facts))).copied()
    }
}

fn file_id(facts: &Facts) -> FileId {
    FileId::new(facts.device, facts.inode)
}
