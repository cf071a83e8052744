//! The watching thread: takes hints, looks, and passes on what has changed.
//!
//! A thread, and not a task: every question to a filesystem may block, on a network filesystem for ever.
//! On a runtime's worker that stops other tasks; in its pool for blocking calls it keeps the runtime from
//! shutting down. A thread of our own harms nobody, and needs no runtime to exist at all.
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
use std::sync::Arc;
use std::time::Instant;

use crate::backend::Backend;
use crate::error::Error;
use crate::event::{Event, Why};
use crate::eyes;
use crate::health::{Bulletin, Health};
use crate::hints::{Dirty, Hints};
use crate::outbox::Outbox;
use crate::pace::{Backoff, Pace};
use crate::roster::Roster;
use crate::target::Target;

/// Everything the thread owns.
pub(crate) struct Driver {
    /// Absolute, so that a later change of the working directory does not matter.
    pub(crate) dir: PathBuf,
    pub(crate) roster: Roster,
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) hints: Hints,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) pace: Pace,
    pub(crate) arming: Arming,
    pub(crate) health: Health,
}

/// How the last attempt to arm the backend went, and when the next may be made.
#[derive(Debug, Default)]
pub(crate) struct Arming {
    trouble: Option<Why>,
    backoff: Backoff,
}

impl Driver {
    /// The thread's life.
    pub(crate) fn run(mut self) {
        let _finish = Finish(self.outbox.clone());
        if self.start() {
            self.watch();
        }
        self.backend.disarm();
    }

    /// Makes the first look and announces it. Says whether to go on.
    fn start(&mut self) -> bool {
        let trouble = self.look(HashSet::new());
        if let Some(why) = trouble.listing {
            self.outbox.started(Err(refusal(self.roster.dir().to_owned(), why)));
            return false;
        }
        // The first listing tells these.
        while self.roster.poll_change().is_some() {}
        let Bulletin { before, .. } = self.health.handle_look(trouble.arming);
        let listed = self.roster.sockets().map(Event::InitApply);
        let listing = std::iter::once(Event::Init).chain(listed).chain([Event::InitDone]);
        self.outbox.push(before.into_iter().chain(listing));
        self.outbox.started(Ok(()));
        true
    }

    fn watch(&mut self) {
        let mut asked = false;
        loop {
            if !self.outbox.has_room() {
                if self.hints.wait_for_room() {
                    continue;
                }
                return;
            }
            let dirty = self.hints.wait(self.pace.deadline(asked));
            if dirty.stopped {
                return;
            }
            self.take_note(&dirty);
            asked |= dirty.wants_full_look();
            if Instant::now() >= self.pace.deadline(asked) {
                asked = false;
                let trouble = self.look(dirty.names);
                let bulletin = self.health.handle_look(trouble.listing.or(trouble.arming));
                self.announce(bulletin);
            } else {
                self.look_at_each(dirty.names);
                self.announce(Bulletin { before: None, after: None });
            }
        }
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

    /// One complete look: at the path, the directory and every name in it.
    fn look(&mut self, names: HashSet<OsString>) -> Trouble {
        let began = Instant::now();
        let target = eyes::resolve(&self.dir);
        // Before the listing: what happens while it runs must leave a hint.
        self.arm(&target);
        let (listing, trouble) = eyes::list(&self.dir, |name| self.roster.admits(name));
        self.roster.handle_listing(listing);
        while let Some(doubtful) = self.roster.poll_doubt() {
            self.look_at(doubtful);
        }
        // A listing can miss a name that is there; one we were told of gets a look of its own.
        self.look_at_each(names);
        // Was the directory that is armed the one that was listed, and is it still?
        if eyes::identify(&self.dir).ok() != target.identity() {
            self.hints.directory();
        }
        let trouble = Trouble { listing: trouble, arming: self.arming.trouble.clone() };
        self.pace.handle_look(began, Instant::now(), trouble.is_none(), spread());
        trouble
    }

    fn arm(&mut self, target: &Target) {
        let now = Instant::now();
        if self.arming.backoff.is_ready(now) {
            self.arming.trouble = self.backend.arm(target, &self.hints).err();
            // Trouble with the directory is no reason to leave the backend alone for long.
            if self.arming.trouble.as_ref().is_some_and(|why| !why.is_blind()) {
                self.arming.backoff.handle_failure(now);
            }
        }
    }

    fn look_at_each(&mut self, names: HashSet<OsString>) {
        for name in names {
            if self.roster.admits(&name) {
                self.look_at(name);
            }
        }
    }

    fn look_at(&mut self, name: OsString) {
        let sighting = eyes::look_at(&self.dir, &name);
        self.roster.handle_sighting(name, sighting);
    }

    fn announce(&mut self, Bulletin { before, after }: Bulletin) {
        let changes = std::iter::from_fn(|| self.roster.poll_change()).map(Event::from);
        self.outbox.push(before.into_iter().chain(changes).chain(after));
    }
}

/// What kept a look from being as good as it could be.
struct Trouble {
    listing: Option<Why>,
    arming: Option<Why>,
}

impl Trouble {
    fn is_none(&self) -> bool {
        self.listing.is_none() && self.arming.is_none()
    }
}

/// Tells the consumer that the thread is gone, however it goes.
struct Finish(Arc<Outbox>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.finish();
    }
}

fn refusal(dir: PathBuf, why: Why) -> Error {
    match why {
        Why::Missing => Error::Missing { dir },
        Why::NotADirectory => Error::NotADirectory { dir },
        Why::Unreadable { kind, message } => Error::Unreadable { dir, source: std::io::Error::new(kind, message) },
        other => Error::Unreadable { dir, source: std::io::Error::other(other) },
    }
}

/// A number from 0 to 1, another one each time.
fn spread() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
