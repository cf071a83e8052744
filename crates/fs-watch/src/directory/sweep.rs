//! What is left over goes; everything else stays, with the reason.
//!
//! ```text
//!   listed ─► in the kernel's table? ─► may the filesystem hide a server? ─► young? ─► whose? ─► lock held?
//!                │ kept                      │ kept                            │ kept    │ kept     │ kept
//!     ─► is a socket bound to it? ─► does the table know this filesystem? ─► connect: not possible? ─► stale
//!          │ kept                      │ kept                                  │ kept                  │
//!                                                                                                      ▼
//!        put back, kept ◄── no ── the same file, and still nothing bound to it? ◄── moved aside to a dot-name
//!                                                     └─ yes ─► unlinked
//! ```

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::time::Duration;

use lock_file::Lock;
use rustix::fs::{Access, AtFlags, accessat, fstat, unlinkat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use socket_file::{
    Answer, DotFiles, Evidence, Facts, GRACE, Liveness, Owner, Question, Removal, SocketFile, Verdict, names,
};
use unix_diag::Table;

use super::{Error, Handle};

mod finding;
mod locks;
#[cfg(test)]
mod tests;

pub use finding::{Doubt, Fate, Finding, Kept, LockFate, LockFinding, Swept};

/// Under ten thousand closes in a second one reading lacks one in two thousand sockets.
const READINGS: usize = 3;

/// How to sweep a directory.
///
/// Only what is *proven* stale is removed:
///
/// * the kernel's table of sockets, which demonstrably knows this filesystem, does not have it;
/// * the filesystem is not one that may hide a server: FUSE, 9p, virtiofs, NFS, overlay and the like, unless
///   [told otherwise](Self::any_filesystem);
/// * its file is [old enough](Self::min_age), and two seconds at least, and [ours](Self::owner);
/// * the lock that `uds-socket` keeps beside a socket (`.NAME.lock`) is not held;
/// * no socket is bound to it, in any network namespace. The kernel says so without a server noticing;
/// * and, last, a connection is not possible either.
///
/// What is removed is the very file that was examined, and never what has its name by then. Lock files beside sockets that
/// no process holds are removed, too, and so is what a crash of a sweep or of a server that started has left under a name
/// aside (`.fs-watch.swept-…`, `.NAME.old`), by the same proof. Other dot-files are left alone.
///
/// The *backing side* of such a filesystem, the directory that a mount elsewhere shows, is recognised only where the mount is
/// in a mount table that this process may read. In particular, what a virtual machine or another machine mounts cannot be
/// detected. Sockets that are served there are unbound to our kernel, and look stale. Do not sweep such a directory.
///
/// ```
/// use std::time::Duration;
/// use fs_watch::directory::{Fate, Sweep};
/// # use std::os::unix::net::UnixListener;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let _live = UnixListener::bind(dir.path().join("live.sock"))?;
/// drop(UnixListener::bind(dir.path().join("stale.sock"))?);
///
/// // Both are too young by default, and for two seconds whatever you say.
/// let swept = Sweep::default().min_age(Duration::from_secs(10)).run(dir.path())?;
/// for finding in &swept.findings {
///     println!("{:?}: {}", finding.path, finding.fate);
/// }
/// assert_eq!(swept.removed(), 0);
/// assert!(dir.path().join("live.sock").exists());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is swept before `run`"]
pub struct Sweep {
    min_age: Duration,
    owner: Owner,
    dry_run: bool,
    any_filesystem: bool,
    grace: Duration,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            min_age: Duration::from_secs(60),
            owner: Owner::Trusted,
            dry_run: false,
            any_filesystem: false,
            grace: GRACE,
        }
    }
}

impl Sweep {
    /// A younger file may belong to a server that is just inside `bind`.
    fn least_age(&self) -> Duration {
        self.min_age.max(self.grace)
    }

    /// For tests of races, which cannot wait until every file is two seconds old.
    #[doc(hidden)]
    pub fn without_grace(self) -> Self {
        Self { grace: Duration::ZERO, ..self }
    }

    /// Leave alone what was made or changed less than this ago. A minute unless set; less than two seconds counts as two.
    pub fn min_age(self, min_age: Duration) -> Self {
        Self { min_age, ..self }
    }

    /// Whose sockets to remove: our own and root's unless set.
    pub fn owner(self, owner: Owner) -> Self {
        Self { owner, ..self }
    }

    /// Only say what would be removed. To see whether the kernel's table knows the filesystem, a socket may all the same be
    /// bound in the directory, under a dot-name, for a moment.
    pub fn dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// Remove also on filesystems on which a server may be hidden from our kernel: FUSE, 9p, virtiofs, NFS and other
    /// network filesystems, overlay. Not unless set. Say so only if you know that no server on the other side, in a
    /// container, a virtual machine or on another machine, has its sockets there.
    pub fn any_filesystem(self, any_filesystem: bool) -> Self {
        Self { any_filesystem, ..self }
    }

    /// Sweeps `dir`. Blocks for as long as the filesystem takes, and waits for no server.
    ///
    /// # Errors
    ///
    /// The directory cannot be opened or listed: [`Error::Missing`], [`Error::NotADirectory`], [`Error::Unreadable`]. What
    /// goes wrong with a single socket is its [`Fate`].
    pub fn run(&self, dir: impl AsRef<Path>) -> Result<Swept, Error> {
        let handle = Handle::open(dir.as_ref())?;
        let sockets = handle.sockets(|name| DotFiles::Ignored.admit(name) || is_left_aside(name))?;
        // After the listing, so that it tells of all that was listed.
        let table = read_table().ok();
        let hidden = match handle.hides_servers() {
            _ if self.any_filesystem => None,
            Some(filesystem) => Some(Doubt::HiddenServers(filesystem)),
            None => super::backing::is_backing(dir.as_ref()).then_some(Doubt::BackingSide),
        };
        let mut examination = Examination { sweep: self, handle: &handle, table, hidden, is_known_filesystem: None };
        let findings = sockets.into_iter().map(|(name, facts)| examination.of(&name, facts)).collect();
        // Locks do not cross such filesystems either.
        let locks = if hidden.is_some() { Vec::new() } else { locks::sweep(self, &handle)? };
        Ok(Swept { findings, locks })
    }
}

/// What any of several readings has: one that comes in several pieces may lack a socket whose neighbour was closed in between.
fn read_table() -> Result<Table, unix_diag::Error> {
    let mut table = Table::read()?;
    for _ in 1..READINGS {
        table.read_again()?;
    }
    Ok(table)
}

/// Whether nothing is bound to the file.
fn is_free(liveness: &Liveness) -> Result<(), Kept> {
    match liveness.evidence {
        _ if liveness.is_unbound() => Ok(()),
        Evidence::Connect(Answer::Denied | Answer::Failed) => Err(Kept::Unproven(Doubt::NoAnswer)),
        _ => Err(Kept::InUse),
    }
}

/// What is known of a socket that the table does not have.
fn ask(held: &SocketFile, path: &Path, question: Question) -> Liveness {
    Liveness::of_answer(held.ask(path, question).0, false, held.facts().age())
}

struct Examination<'a> {
    sweep: &'a Sweep,
    handle: &'a Handle,
    table: Option<Table>,
    /// Why a server may be hidden here, if so.
    hidden: Option<Doubt>,
    /// Whether the table names files on this filesystem as `lstat` does, once that is known.
    is_known_filesystem: Option<bool>,
}

impl Examination<'_> {
    fn of(&mut self, name: &OsStr, facts: Facts) -> Finding {
        let mut liveness = Liveness::UNASKED;
        let fate = self.fate_of(name, &facts, &mut liveness).unwrap_or_else(Fate::Kept);
        Finding { path: self.handle.path_of(name), facts, liveness, fate }
    }

    fn fate_of(&mut self, name: &OsStr, facts: &Facts, liveness: &mut Liveness) -> Result<Fate, Kept> {
        let table = self.table.as_ref().ok_or(Kept::Unproven(Doubt::NoTable))?;
        if let Some(entry) = table.get(facts.file()) {
            self.is_known_filesystem = Some(true);
            *liveness = Liveness::of_entry(entry);
            return Err(Kept::InUse);
        }
        if let Some(doubt) = self.hidden {
            return Err(Kept::Unproven(doubt));
        }
        let age = facts.age();
        // What a sweep has left aside has been old enough; but another sweep may be examining it just now.
        let least = if names::is_spare_name(name) { self.sweep.grace } else { self.sweep.least_age() };
        if age < least {
            return Err(Kept::Young(age));
        }
        if !self.sweep.owner.admits(facts.uid) {
            return Err(Kept::Foreign(facts.uid));
        }
        // From here on the socket's file is held: its number means this file and no other.
        let held = match self.handle.find_socket(name) {
            Ok(Some(held)) if held.facts().is_same_file(facts) => held,
            Ok(_) => return Err(Kept::Changed),
            Err(error) => return Err(Kept::Failed(error)),
        };
        let _guards = guards(self.handle, name)?;
        let path = self.handle.path_of(name);
        *liveness = ask(&held, &path, Question::Lookup);
        is_free(liveness)?;
        self.prove_filesystem()?;
        // Every other test calls it stale. Where the kernel does what Linux does, nothing is there that could notice.
        *liveness = ask(&held, &path, Question::Connect);
        is_free(liveness)?;
        liveness.verdict = Verdict::Stale;
        if self.sweep.dry_run {
            let needed = Access::WRITE_OK | Access::EXEC_OK;
            let may = accessat(self.handle, c".", needed, AtFlags::EACCESS);
            return may.map(|()| Fate::WouldBeRemoved).map_err(|errno| Kept::Failed(errno.into()));
        }
        remove(self.handle, name, &held)
    }

    /// That the table does not have a socket says nothing unless it would have it. One of our own shows.
    fn prove_filesystem(&mut self) -> Result<(), Kept> {
        let is_known = match self.is_known_filesystem {
            Some(is_known) => is_known,
            None => *self.is_known_filesystem.insert(is_told_of(self.handle).map_err(Kept::Failed)?),
        };
        if is_known { Ok(()) } else { Err(Kept::Unproven(Doubt::UnknownFilesystem)) }
    }
}

/// Binds a socket in the directory, for a moment, and looks for it in the kernel's table.
fn is_told_of(handle: &Handle) -> io::Result<bool> {
    let name = names::spare_name();
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let number = u32::try_from(fstat(&socket)?.st_ino).map_err(|_| Errno::OVERFLOW)?;
    bind(&socket, &SocketAddrUnix::new(handle.short_path_of(&name))?)?;
    // Asked for by the number, it is not hidden as it may be in a table.
    let entry = unix_diag::find(number).ok().flatten();
    // As long as the socket is open, the number of its file is its own.
    let found = handle.find_socket(&name);
    let is_told = found.as_ref().is_ok_and(|held| {
        let file = held.as_ref().map(|held| held.facts().file());
        file.is_some() && file == entry.and_then(|entry| entry.file)
    });
    if let Some(held) = found?
        && handle.identity_of(&name)? == Some(held.identity())
    {
        unlinkat(handle, &name, AtFlags::empty())?;
    }
    Ok(is_told)
}

fn remove(handle: &Handle, name: &OsStr, held: &SocketFile) -> Result<Fate, Kept> {
    let aside = names::spare_name();
    let is_unbound = |path: &Path| ask(held, path, Question::Connect).is_unbound();
    match handle.remove(name, &aside, held.identity(), is_unbound) {
        Ok(Removal::Removed) => Ok(Fate::Removed),
        Ok(Removal::Missing | Removal::Replaced) => Err(Kept::Changed),
        Ok(Removal::Kept) => Err(Kept::InUse),
        Ok(Removal::Displaced(_)) => Err(Kept::Displaced(handle.path_of(&aside))),
        Err(error) => Err(Kept::Failed(error)),
    }
}

/// Whether a crash has left it there: of a sweep, or of a server that started. A name from which it was moved has none of these.
fn is_left_aside(name: &OsStr) -> bool {
    names::is_spare_name(name) || names::is_aside_name(name)
}

/// Takes the lock that `uds-socket` keeps beside a socket, so that no process that heeds it starts there meanwhile. The holder of
/// the lock works with the name aside as well.
///
/// Where there is none, none is made: it would stay.
fn guards(handle: &Handle, name: &OsStr) -> Result<Vec<Lock>, Kept> {
    let mut locks = vec![names::lock_name(name)];
    if let Some(name) = names::name_of_aside(name) {
        locks.push(names::lock_name(name));
    } else if names::is_aside_name(name) {
        // Of a long name, which the name aside does not tell.
        let all = locks::names(handle).map_err(|_| Kept::Unproven(Doubt::Lock))?;
        let is_its = |lock: &OsString| names::locked_name(lock).is_some_and(|of| names::aside_name(of) == name);
        locks.extend(all.into_iter().filter(is_its));
    }
    let guards = locks.into_iter().filter_map(|lock| Lock::examine(handle, &lock).transpose());
    guards
        .map(|lock| {
            lock.map_err(|error| match error {
                lock_file::Error::Held { pid } => Kept::Locked(pid),
                lock_file::Error::Contended { .. } => Kept::Locked(None),
                _ => Kept::Unproven(Doubt::Lock),
            })
        })
        .collect()
}
