//! State that the thread and the consumer share: the roster and the pending probes. Scan only while you hold its lock.

use std::collections::HashSet;
use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::io::Errno;
use socket_file::{self as probe, Facts, Probing, Verdict};
use unix_diag::Table;

use crate::event::{Event, Why};
use crate::eyes;
use crate::health::Bulletin;
use crate::outbox::Outbox;
use crate::probes::PendingProbes;
use crate::roster::{Change, Roster};

/// Up to this many sockets that the table lacks are queried one by one.
const FEW: usize = 64;

#[derive(Debug)]
pub(crate) struct Ledger {
    /// Absolute, so that a later change of the working directory does not matter.
    dir: PathBuf,
    roster: Roster,
    probes: PendingProbes,
    probing: Probing,
    /// Whether the last attempt to read the kernel's table succeeded.
    has_table: bool,
    /// What keeps the kernel's table from being read, unless it passes by itself.
    no_table: Option<String>,
}

impl Ledger {
    pub(crate) fn new(dir: PathBuf, roster: Roster, probing: Probing) -> Self {
        Self { dir, roster, probes: PendingProbes::default(), probing, has_table: false, no_table: None }
    }

    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Why it is not known which sockets are live, as of the last attempt to read the kernel's table.
    pub(crate) fn no_table(&self) -> Option<Why> {
        // Connecting tells it, too.
        let is_missed = self.probing != Probing::TableAndConnect;
        let message = self.no_table.as_ref().filter(|_| is_missed)?;
        Some(Why::NoTable { message: message.clone() })
    }

    /// Lists the directory, and returns what kept the listing from being complete.
    pub(crate) fn list(&mut self) -> Option<Why> {
        let (listing, trouble) = eyes::list(&self.dir, self.roster.len(), |name| self.roster.admits(name));
        self.roster.handle_listing(listing);
        while let Some(doubtful) = self.roster.poll_doubt() {
            self.scan_name(doubtful);
        }
        trouble
    }

    /// Looks up the names in hints.
    pub(crate) fn scan_names(&mut self, names: HashSet<OsString>) {
        let now = Instant::now();
        for name in names {
            if self.roster.admits(&name) {
                let is_waiting = self.roster.handle_stir(&name);
                if is_waiting && self.probing != Probing::Off {
                    self.probes.handle_arrival(self.roster.dir().join(&name), now);
                }
                self.scan_name(name);
            }
        }
    }

    fn scan_name(&mut self, name: OsString) {
        let sighting = eyes::scan_name(&self.dir, &name);
        self.roster.handle_sighting(name, sighting);
    }

    /// When to [`judge`](Self::judge) because of new sockets, or to [`ask`](Self::ask).
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.roster.has_suspects() { Some(now) } else { self.judgement() }
    }

    /// Whether new sockets must be judged now.
    pub(crate) fn must_judge(&self, now: Instant) -> bool {
        self.judgement().is_some_and(|due| due <= now)
    }

    /// When to probe again, because a socket is new, or bound and not listening.
    fn judgement(&self) -> Option<Instant> {
        let bound = self.roster.has_bound().then(|| self.probes.next_round()).flatten();
        self.probes.deadline().into_iter().chain(bound).min()
    }

    /// Whether to judge together with a periodic scan.
    pub(crate) fn may_judge(&self, now: Instant) -> bool {
        self.probing != Probing::Off && !self.probes.is_resting(now)
    }

    /// Applies the kernel's table. If it lacks a socket, reads a second table before it concludes anything.
    ///
    /// The lock is held only in between, so that the consumer can continue while a table is read.
    pub(crate) fn judge(ledger: &Mutex<Self>, mut reading: Reading) {
        let misses_another = lock(ledger).take_in(&reading);
        if misses_another && reading.read_again() {
            lock(ledger).take_in(&reading);
        }
    }

    /// Returns whether a second table is worth its cost.
    fn take_in(&mut self, Reading { arrivals, table, error, began }: &Reading) -> bool {
        let find = table.as_ref().map(|table| |facts: &Facts| table.get(facts.file()).copied());
        self.has_table = find.is_some();
        self.no_table.clone_from(error);
        self.roster.handle_table(find, *arrivals, *began);
        while let Some(doubtful) = self.roster.poll_doubt() {
            self.scan_name(doubtful);
        }
        self.probes.handle_round(*began, Instant::now());
        self.roster.misses_another()
    }

    /// Probes some of the sockets that the table lacks.
    pub(crate) fn ask(&mut self, most: usize) {
        for _ in 0..most {
            let Some((name, facts)) = self.roster.poll_suspect() else { return };
            if self.is_still_there(&name, &facts) {
                continue;
            }
            let path = self.dir.join(&name);
            let is_believed = self.has_table || probe::is_conclusive();
            let answer = self.probing.question(is_believed).map(|question| probe::ask(&path, &facts, question));
            self.roster.handle_answer(&name, answer, Instant::now());
        }
    }

    /// Whether a suspect is in the kernel's table after all, queried by its number. Then it is not probed: a socket
    /// that is bound and does not listen would answer `ECONNREFUSED`, which would prove nothing.
    ///
    /// One query costs as much as a table. If many have disappeared at once, only those are queried for which it makes
    /// a difference.
    fn is_still_there(&mut self, name: &OsStr, facts: &Facts) -> bool {
        let Some((number, verdict)) = self.roster.last_entry(name) else { return false };
        if verdict == Verdict::Listening && self.roster.suspects() > FEW {
            return false;
        }
        match unix_diag::find(number) {
            Ok(Some(entry)) if entry.file == Some(facts.file()) => {
                self.roster.handle_entry(name, &entry);
                true
            }
            Ok(_) => false,
            // A query that failed proves nothing.
            Err(_) => true,
        }
    }

    /// The changes since the last call, as events.
    pub(crate) fn take_changes(&mut self) -> impl Iterator<Item = Event> {
        let Self { roster, probes, probing, .. } = self;
        let now = Instant::now();
        std::iter::from_fn(move || {
            let change = roster.poll_change()?;
            match &change {
                Change::Added(socket) if *probing != Probing::Off => probes.handle_arrival(socket.path.clone(), now),
                Change::Added(_) => {}
                Change::Ready(socket) => probes.handle_settled(&socket.path),
                Change::Removed { id, .. } => probes.handle_settled(&id.path),
            }
            Some(change.into())
        })
    }

    /// Reports the changes, and the events that come before and after them.
    pub(crate) fn publish(&mut self, Bulletin { before, after }: Bulletin, outbox: &Outbox) {
        outbox.push(before.into_iter().chain(self.take_changes()).chain(after));
    }
}

/// The ledger is consistent whenever the lock is free, except after a panic in a hint of a backend, which ends the
/// thread anyway.
pub(crate) fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kernel's table at one moment.
#[derive(Debug)]
pub(crate) struct Reading {
    arrivals: u64,
    table: Option<Table>,
    /// Why there is none, unless that passes by itself.
    error: Option<String>,
    began: Instant,
}

impl Reading {
    /// Reads the table. `arrivals` is the roster's count from before.
    pub(crate) fn take(arrivals: u64, probing: Probing) -> Self {
        let began = Instant::now();
        let (table, error) = match (probing != Probing::Off).then(Table::read).transpose() {
            Ok(table) => (table, None),
            Err(error) => (None, lasting(&error)),
        };
        Self { arrivals, table, error, began }
    }

    /// Adds what a second table has, and returns whether there is one.
    fn read_again(&mut self) -> bool {
        self.table.as_mut().is_some_and(|table| table.read_again().is_ok())
    }
}

/// The error in words, unless it is a shortage: that passes by itself, and a scan fails by it as well.
fn lasting(error: &unix_diag::Error) -> Option<String> {
    let cause = error.source()?;
    let errno = cause.downcast_ref().and_then(Errno::from_io_error);
    let is_shortage =
        matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::AGAIN | Errno::INTR));
    (!is_shortage).then(|| format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
    use socket_file::{DotFiles, Verdict};

    use super::*;

    /// A table from which a socket is missing because another one closed.
    fn torn(arrivals: u64) -> Reading {
        Reading { arrivals, table: Some(Table::default()), error: None, began: Instant::now() }
    }

    #[test]
    fn a_socket_that_one_table_lacks_is_looked_up_in_a_second_before_anybody_knocks() {
        let dir = tempfile::tempdir().unwrap();
        // A connection here is refused, and a socket that was in the table and refuses counts as stale.
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&socket, &SocketAddrUnix::new(dir.path().join("a")).unwrap()).unwrap();
        let roster = Roster::new(dir.path(), DotFiles::Ignored);
        let ledger = Mutex::new(Ledger::new(dir.path().to_owned(), roster, Probing::default()));
        assert_eq!(lock(&ledger).list(), None);
        let arrivals = lock(&ledger).roster().arrivals();
        let verdict = || lock(&ledger).roster().sockets().next().map(|socket| socket.liveness.verdict);
        Ledger::judge(&ledger, Reading::take(arrivals, Probing::default()));
        assert_eq!(verdict(), Some(Verdict::Bound));

        Ledger::judge(&ledger, torn(arrivals));
        assert!(!lock(&ledger).roster().has_suspects());
        lock(&ledger).ask(usize::MAX);
        assert_eq!(verdict(), Some(Verdict::Bound));

        drop(socket);
        Ledger::judge(&ledger, torn(arrivals));
        assert!(lock(&ledger).roster().has_suspects(), "no table has it");
        lock(&ledger).ask(usize::MAX);
        assert_eq!(verdict(), None);
    }

    #[test]
    fn a_table_that_cannot_be_read_is_told_while_it_is_missed() {
        let dir = tempfile::tempdir().unwrap();
        let told = Some(Why::NoTable { message: "planted".into() });
        for (probing, expected) in [
            (Probing::Kernel, &told),
            (Probing::TableOnly, &told),
            // A connection tells the same.
            (Probing::TableAndConnect, &None),
        ] {
            let mut ledger = Ledger::new(dir.path().to_owned(), Roster::new(dir.path(), DotFiles::Ignored), probing);
            assert_eq!(ledger.no_table(), None);
            let reading = Reading { arrivals: 0, table: None, error: Some("planted".into()), began: Instant::now() };
            ledger.take_in(&reading);
            assert_eq!(ledger.no_table(), *expected, "{probing:?}");
            ledger.take_in(&torn(0));
            assert_eq!(ledger.no_table(), None);
        }
    }

    #[test]
    fn a_shortage_passes_and_is_not_told() {
        let open = |errno: Errno| unix_diag::Error::Open { source: errno.into() };
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS] {
            assert_eq!(lasting(&open(errno)), None);
        }
        let message = lasting(&open(Errno::AFNOSUPPORT)).unwrap();
        assert!(message.starts_with("cannot open a socket to the kernel's socket table: Address family"), "{message}");
    }

    #[test]
    fn a_socket_in_no_table_costs_a_second_reading_once_and_not_with_every_scan() {
        let dir = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(dir.path().join("a")).unwrap());
        for probing in [Probing::Kernel, Probing::TableAndConnect, Probing::TableOnly] {
            let mut ledger = Ledger::new(dir.path().to_owned(), Roster::new(dir.path(), DotFiles::Ignored), probing);
            assert_eq!(ledger.list(), None);
            let mut reading = Reading::take(ledger.roster().arrivals(), probing);
            for (looks, expected) in [(1, true), (100, false)] {
                for _ in 0..looks {
                    assert_eq!(ledger.take_in(&reading), expected, "{probing:?}");
                    ledger.ask(usize::MAX);
                    reading.began += std::time::Duration::from_secs(5);
                }
            }
            ledger.scan_names([OsString::from("a")].into());
            assert!(ledger.take_in(&reading), "something may have happened");
        }
    }
}
