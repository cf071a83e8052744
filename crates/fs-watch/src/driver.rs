//! The watching thread: takes hints, scans, and passes on what has changed.
//!
//! It is a thread and not a task, because every query to a filesystem may block, on a network filesystem forever. On a
//! runtime's worker, that would stop other tasks; in the runtime's pool for blocking calls, it would keep the runtime
//! from shutting down. A thread of our own disturbs nothing, and works without a runtime.
//!
//! ```text
//!   backend ──hints──►┌───────────────────────────────────┐
//!   clock ───tick────►│ resolve → arm → list → lstat each  │──► Roster ──changes──► Outbox ──► consumer
//!                     │ (or, for single names, only lstat) │
//!                     └───────────────────────────────────┘
//! ```

use std::collections::HashSet;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use socket_file::{Filesystem, Probing};

use crate::backend::Backend;
use crate::error::Error;
use crate::event::{Event, Why};
use crate::eyes::{self, Stamp};
use crate::health::{Bulletin, Health};
use crate::hints::{Dirty, Hints};
use crate::ledger::{Ledger, Reading, lock};
use crate::missing::Missing;
use crate::outbox::Outbox;
use crate::pace::{Backoff, Pace};
use crate::target::Target;

/// Probes in a row, each of which takes some fifteen microseconds.
const AT_ONCE: usize = 128;

/// Everything the thread owns, and the ledger that it shares with the consumer.
pub(crate) struct Driver {
    /// As the caller gave it.
    pub(crate) dir: PathBuf,
    /// Absolute, so that a later change of the working directory does not matter.
    pub(crate) absolute: PathBuf,
    pub(crate) missing: Missing,
    pub(crate) probing: Probing,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) hints: Hints,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) pace: Pace,
    pub(crate) arming: Arming,
    pub(crate) health: Health,
    /// The directory at the last complete scan, if that scan had no trouble.
    pub(crate) seen: Option<Seen>,
}

/// How the last attempt to arm the backend went, and when the next one may be made.
#[derive(Debug, Default)]
pub(crate) struct Arming {
    trouble: Option<Why>,
    backoff: Backoff,
}

/// A directory at the beginning of a scan.
#[derive(Debug)]
pub(crate) struct Seen {
    stamp: Stamp,
    at: SystemTime,
    filesystem: Filesystem,
}

impl Seen {
    /// A mount over a single file changes nothing in its directory, so the directory is listed at least this often.
    const LONGEST: Duration = Duration::from_secs(60);

    /// Whether a directory with this stamp has not changed since.
    fn vouches_for(&self, stamp: &Stamp, now: SystemTime) -> bool {
        self.filesystem.keeps_change_times()
            && stamp.proves_rest_since(&self.stamp, self.at)
            && now.duration_since(self.at).is_ok_and(|age| age < Self::LONGEST)
    }
}

impl Driver {
    /// The main function of the thread.
    pub(crate) fn run(mut self) {
        let _finish = Finish(self.outbox.clone());
        if self.start() {
            self.watch();
        }
        self.backend.disarm();
    }

    /// Makes the first scan and announces it. Returns whether to continue.
    fn start(&mut self) -> bool {
        if let Missing::Create { mode } = self.missing
            && let Err(source) = eyes::create(&self.absolute, mode)
        {
            self.outbox.started(Err(Error::Create { dir: self.dir.clone(), source }));
            return false;
        }
        let trouble = self.scan(HashSet::new());
        if let Some(why) = &trouble.listing
            && !(self.missing == Missing::Wait && *why == Why::Missing)
        {
            self.outbox.started(Err(start_error(self.dir.clone(), why.clone())));
            return false;
        }
        let Bulletin { before, .. } = self.health.handle_scan(trouble.worst());
        let listed: Vec<_> = {
            let mut ledger = lock(&self.ledger);
            // The first listing already announces these.
            ledger.take_changes().for_each(drop);
            ledger.roster().sockets().map(Event::InitApply).collect()
        };
        let listing = std::iter::once(Event::Init).chain(listed).chain([Event::InitDone]);
        self.outbox.push(before.into_iter().chain(listing));
        self.outbox.started(Ok(()));
        true
    }

    fn watch(&mut self) {
        let mut asked = false;
        loop {
            if !self.hints.is_called() && !self.outbox.has_room() {
                if self.hints.wait_for_room() {
                    continue;
                }
                return;
            }
            let dirty = self.hints.wait(self.deadline(asked));
            if dirty.stopped {
                return;
            }
            self.take_note(&dirty);
            asked |= dirty.wants_full_scan();
            let called = dirty.called;
            if called.is_some() || Instant::now() >= self.pace.deadline(asked) {
                let trouble = match self.glance(asked || called.is_some()) {
                    Some(trouble) => {
                        self.scan_names(dirty.names);
                        trouble
                    }
                    None => self.scan(dirty.names),
                };
                asked = false;
                self.tell(trouble, called.is_some());
                if let Some(ticket) = called {
                    let blind = self.health.trouble().filter(|why| matches!(why, Why::Unreadable { .. }));
                    self.outbox.looked(ticket, blind.cloned());
                }
            } else {
                self.scan_names(dirty.names);
                if lock(&self.ledger).must_judge(Instant::now()) {
                    self.judge();
                    self.tell_of_table();
                }
                self.ask(AT_ONCE);
            }
        }
    }

    /// When to act if nothing happens.
    fn deadline(&self, asked: bool) -> Instant {
        let scan = self.pace.deadline(asked);
        lock(&self.ledger).deadline(Instant::now()).map_or(scan, |judge| judge.min(scan))
    }

    fn take_note(&mut self, dirty: &Dirty) {
        if dirty.overflowed || dirty.lost {
            self.health.handle_gap();
        }
        if dirty.lost {
            self.backend.disarm();
            self.arming.backoff.handle_failure(Instant::now());
            let message = "it gives no more hints".to_owned();
            self.arming.trouble = Some(Why::BackendFailed { message });
        }
    }

    /// A periodic scan of a directory, if its change time proves that nothing has come or gone since the last one.
    /// Listing it would show the same, and opening it would wake every process that watches it, including ours.
    fn glance(&mut self, asked: bool) -> Option<Trouble> {
        let began = Instant::now();
        let seen = self.seen.as_ref().filter(|_| !asked)?;
        let stamp = eyes::stamp(&self.absolute).ok()?;
        if !seen.vouches_for(&stamp, SystemTime::now()) {
            return None;
        }
        self.pace.handle_scan(began, Instant::now(), true, spread());
        Some(Trouble { listing: None, arming: None, filesystem: None })
    }

    /// One complete scan: the path, the directory and every name in it.
    fn scan(&mut self, names: HashSet<OsString>) -> Trouble {
        let began = Instant::now();
        let at = SystemTime::now();
        let stamp = eyes::stamp(&self.absolute);
        let filesystem = eyes::filesystem(&self.absolute);
        let target = eyes::resolve(&self.absolute);
        // Before the listing, so that changes during the listing leave a hint.
        self.arm(&target);
        let listing = {
            let mut ledger = lock(&self.ledger);
            let trouble = ledger.list();
            // A listing can miss a name that is there, so each name in a hint is also looked up.
            ledger.scan_names(names);
            trouble
        };
        // Was the directory that is armed the one that was listed, and is it still?
        if eyes::identify(&self.absolute).ok() != target.identity() {
            self.hints.directory();
        }
        let trouble = Trouble { listing, arming: self.arming.trouble.clone(), filesystem: unreliable(filesystem) };
        self.seen = match stamp {
            Ok(stamp) if trouble.is_none() => Some(Seen { stamp, at, filesystem }),
            _ => None,
        };
        let is_direct = target.directory() == Some(&self.absolute);
        self.hints.set_in_place(trouble.is_none() && is_direct && filesystem.is_in_memory());
        self.pace.handle_scan(began, Instant::now(), trouble.is_none(), spread());
        trouble
    }

    fn arm(&mut self, target: &Target) {
        let now = Instant::now();
        if self.arming.backoff.is_ready(now) {
            self.arming.trouble = self.backend.arm(target, &self.hints).err();
            // Trouble with the directory itself is no reason to pause the backend for long.
            if self.arming.trouble.as_ref().is_some_and(|why| !why.is_blind()) {
                self.arming.backoff.handle_failure(now);
            }
        }
    }

    fn scan_names(&self, names: HashSet<OsString>) {
        let mut ledger = lock(&self.ledger);
        ledger.scan_names(names);
        ledger.publish(Bulletin::SILENCE, &self.outbox);
    }

    /// Reports what a complete scan has found. `called` if a caller of `sync` also waits for the sockets to be probed.
    fn tell(&mut self, trouble: Trouble, called: bool) {
        let trouble = trouble.worst();
        let is_well = trouble.is_none();
        let before = if is_well { None } else { self.health.handle_scan(trouble).before };
        lock(&self.ledger).publish(Bulletin { before, after: None }, &self.outbox);
        let is_judged = called || lock(&self.ledger).may_judge(Instant::now());
        if is_judged {
            self.judge();
        }
        self.ask(if called { usize::MAX } else { AT_ONCE });
        if is_well {
            // What an earlier attempt found is no news.
            let no_table = lock(&self.ledger).no_table();
            let no_table = no_table.filter(|why| is_judged || self.health.trouble() == Some(why));
            let Bulletin { before, after } = self.health.handle_scan(no_table);
            self.outbox.push(before.into_iter().chain(after));
        }
    }

    /// Reports that the kernel's table cannot be read, if there is no other trouble. The end of it is told after a scan.
    fn tell_of_table(&mut self) {
        if self.health.trouble().is_none()
            && let Some(why) = lock(&self.ledger).no_table()
        {
            self.outbox.push(self.health.handle_scan(Some(why)).before);
        }
    }

    /// Checks which sockets are live.
    fn judge(&self) {
        let arrivals = lock(&self.ledger).roster().arrivals();
        // Not under the lock, so that the consumer can continue meanwhile.
        Ledger::judge(&self.ledger, Reading::take(arrivals, self.probing));
        lock(&self.ledger).publish(Bulletin::SILENCE, &self.outbox);
    }

    /// Probes sockets that the table lacks, at most this many before other work can run.
    fn ask(&self, most: usize) {
        let mut ledger = lock(&self.ledger);
        ledger.ask(most);
        ledger.publish(Bulletin::SILENCE, &self.outbox);
    }
}

/// What made a scan less reliable.
struct Trouble {
    listing: Option<Why>,
    arming: Option<Why>,
    filesystem: Option<Why>,
}

impl Trouble {
    fn is_none(&self) -> bool {
        self.listing.is_none() && self.arming.is_none() && self.filesystem.is_none()
    }

    fn worst(self) -> Option<Why> {
        self.listing.or(self.arming).or(self.filesystem)
    }
}

/// Tells the consumer that the thread has ended, for whatever reason.
struct Finish(Arc<Outbox>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.finish();
    }
}

fn start_error(dir: PathBuf, why: Why) -> Error {
    match why {
        Why::Missing => Error::Missing { dir },
        Why::NotADirectory => Error::NotADirectory { dir },
        Why::Unreadable { kind, message } => Error::Unreadable { dir, source: std::io::Error::new(kind, message) },
        other => Error::Unreadable { dir, source: std::io::Error::other(other) },
    }
}

/// A number from 0 to 1, different each time.
fn spread() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

/// What to say of a filesystem that others change without our kernel knowing.
fn unreliable(filesystem: Filesystem) -> Option<Why> {
    match filesystem {
        Filesystem::Foreign(filesystem) => Some(Why::EventsUnreliable { filesystem }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_at_rest_is_not_listed_for_a_while_and_then_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let stamp = eyes::stamp(dir.path()).unwrap();
        let at = SystemTime::now() + Duration::from_secs(2);
        let seen = Seen { stamp, at, filesystem: Filesystem::Memory };
        for (seconds, vouches) in [(0, true), (59, true), (60, false), (600, false)] {
            assert_eq!(seen.vouches_for(&stamp, at + Duration::from_secs(seconds)), vouches, "{seconds}");
        }
        // The clock was set back.
        assert!(!seen.vouches_for(&stamp, at - Duration::from_secs(1)));
        assert!(!Seen { filesystem: Filesystem::Other, ..seen }.vouches_for(&stamp, at));
        std::fs::write(dir.path().join("file"), "").unwrap();
        let seen = Seen { stamp, at, filesystem: Filesystem::Memory };
        assert!(!seen.vouches_for(&eyes::stamp(dir.path()).unwrap(), at));
    }
}
