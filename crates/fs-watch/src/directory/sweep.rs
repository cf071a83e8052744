//! Removes what is stale, and gives a reason for everything that stays.
//!
//! ```text
//!   listed ─► in the kernel's table? ─► may the filesystem hide a server? ─► young? ─► owner? ─► lock held?
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

/// If ten thousand sockets close every second, one reading lacks one in two thousand.
const READINGS: usize = 3;

/// Options of a sweep.
///
/// Only what is *proven* stale is removed:
///
/// * The kernel's table of sockets, which demonstrably covers this filesystem, does not have it.
/// * The filesystem is not one that may hide a server: FUSE, 9p, virtiofs, NFS, overlay and similar, or one that this crate
///   does not know, unless [you allow these](Self::any_filesystem).
/// * Its file is [old enough](Self::min_age), at least two seconds, and [ours](Self::owner).
/// * The lock that `uds-socket` keeps beside a socket (`.NAME.lock`) is not held.
/// * No socket is bound to it, in any network namespace. The kernel can tell without a server noticing.
/// * Finally, it is impossible to connect to it.
///
/// A sweep removes exactly the file that it examined, never another file that has its name by then. It also removes
/// lock files beside sockets that no process holds, and files that a crash of a sweep or of a starting server has left
/// under a temporary name (`.fs-watch.swept-…`, `.NAME.old`, `.NAME.older`), by the same proof. It leaves other dot-files
/// alone.
///
/// The *backing side* of such a filesystem, the directory that a mount elsewhere shows, is recognised only if the mount
/// is in a mount table that this process may read. In particular, mounts of a virtual machine or another machine cannot
/// be detected. For our kernel, sockets that are served there are unbound and look stale. Do not sweep such a
/// directory.
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
/// // Both are too young by default, and in any case for two seconds.
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

    /// Keep what was created or changed less than this ago. A minute by default; less than two seconds counts as two.
    pub fn min_age(self, min_age: Duration) -> Self {
        Self { min_age, ..self }
    }

    /// Which owner's sockets to remove: by default our own and root's.
    pub fn owner(self, owner: Owner) -> Self {
        Self { owner, ..self }
    }

    /// Only report what would be removed. To find out whether the kernel's table covers the filesystem, this may still
    /// bind a socket in the directory for a moment, under a dot-name.
    pub fn dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// Also remove sockets on filesystems where a server may be hidden from our kernel: FUSE, 9p, virtiofs, NFS and
    /// other network filesystems, overlay, and those that this crate does not know. Off by default. Enable it only if you
    /// know that no server on the other side (in a container, a virtual machine or on another machine) has its sockets there.
    pub fn any_filesystem(self, any_filesystem: bool) -> Self {
        Self { any_filesystem, ..self }
    }

    /// Sweeps `dir`. Blocks for as long as the filesystem takes, and waits for no server.
    ///
    /// # Errors
    ///
    /// The directory cannot be opened or listed: [`Error::Missing`], [`Error::NotADirectory`], [`Error::Unreadable`].
    /// Trouble with a single socket is its [`Fate`].
    pub fn run(&self, dir: impl AsRef<Path>) -> Result<Swept, Error> {
        let handle = Handle::open(dir.as_ref())?;
        let sockets = handle.sockets(|name| DotFiles::Ignored.admit(name) || is_left_aside(name))?;
        // After the listing, so that the table has everything that was listed.
        let table = read_table().ok();
        let hidden = match handle.hides_servers() {
            _ if self.any_filesystem => None,
            Some(filesystem) => Some(Doubt::HiddenServers(filesystem)),
            None => socket_file::is_backing_side(dir.as_ref()).then_some(Doubt::BackingSide),
        };
        let mut examination = Examination { sweep: self, handle: &handle, table, hidden, is_known_filesystem: None };
        let findings = sockets.into_iter().map(|(name, facts)| examination.of(&name, facts)).collect();
        // Locks do not work across such filesystems either.
        let rules = locks::Rules { owner: self.owner, min_age: self.min_age, dry_run: self.dry_run };
        let locks = if hidden.is_some() { Vec::new() } else { locks::sweep(rules, &handle)? };
        Ok(Swept { findings, locks })
    }
}

/// The union of several readings: one that comes in pieces may lack a socket while its neighbour closes.
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

/// What is known about a socket that the table does not have.
fn ask(held: &SocketFile, path: &Path, question: Question) -> Liveness {
    Liveness::of_answer(held.ask(path, question).0, false, held.facts().age())
}

struct Examination<'a> {
    sweep: &'a Sweep,
    handle: &'a Handle,
    table: Option<Table>,
    /// Why a server may be hidden here, if so.
    hidden: Option<Doubt>,
    /// Whether the table identifies files on this filesystem as `lstat` does, once that is known.
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
        // A file that a sweep has left aside was old enough; but another sweep may be examining it at this moment.
        let least = if names::is_spare_name(name) { self.sweep.grace } else { self.sweep.least_age() };
        if age < least {
            return Err(Kept::Young(age));
        }
        if !self.sweep.owner.admits(facts.uid) {
            return Err(Kept::Foreign(facts.uid));
        }
        // From here on the socket's file is held open, so its number means this file and no other.
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
        // Every other test says stale. If the kernel behaves like Linux, there is no server that could notice.
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

    /// That the table lacks a socket proves nothing unless it would have it. A socket of our own shows that.
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
    // Queried by number, because a table may miss it.
    let entry = unix_diag::find(number).ok().flatten();
    // While the socket is open, the number of its file is not reused.
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

/// Whether a crash of a sweep or of a starting server has left it there. The names from which files are moved do not
/// look like this.
fn is_left_aside(name: &OsStr) -> bool {
    names::is_spare_name(name) || names::is_aside_name(name)
}

/// Takes the lock that `uds-socket` keeps beside a socket, so that no process that respects it starts there meanwhile.
/// The holder of the lock also uses the temporary name.
///
/// If there is no lock file, none is created, because it would stay.
fn guards(handle: &Handle, name: &OsStr) -> Result<Vec<Lock>, Kept> {
    let mut locks = vec![names::lock_name(name)];
    if let Some(name) = names::name_of_aside(name) {
        locks.push(names::lock_name(name));
    } else if names::is_aside_name(name) {
        // For a long name, which the temporary name does not contain.
        let all = locks::names(handle).map_err(|_| Kept::Unproven(Doubt::Lock))?;
        let is_its = |lock: &OsString| names::locked_name(lock).is_some_and(|of| names::is_aside_of(name, of));
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
