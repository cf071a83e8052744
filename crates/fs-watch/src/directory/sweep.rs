//! What nobody needs any more goes; everything else stays, with the reason.
//!
//! ```text
//!   listed ─► in the kernel's table? ─► young? ─► whose? ─► lock held? ─► connect: refused? ─► stale
//!                    │ kept              │ kept    │ kept     │ kept        │ kept                │
//!                                                                                                ▼
//!        put back, kept ◄── no ── the same file, and still refused? ◄── moved aside to a dot-name
//!                                            └─ yes ─► unlinked
//! ```

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::fs::{
    Access, AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, accessat, flock, fstat, openat, renameat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use unix_diag::Table;

use super::lock::written_pid;
use super::survey::{age, ask, file_id, is_refused};
use super::{Handle, Held};
use crate::connect::Owner;
use crate::error::Error;
use crate::liveness::{Liveness, Verdict};
use crate::roster::DotFiles;
use crate::socket::Facts;

/// How names begin under which a socket waits to be unlinked. A crash leaves one at most, and the next sweep takes it.
const ASIDE: &str = ".fs-watch.swept-";

/// How to sweep a directory.
///
/// Only what is *proven* stale is removed: its file is [old enough](Self::min_age) and [ours](Self::owner); nobody holds
/// the lock that `uds-actor` keeps beside a socket (`.NAME.lock`); the kernel's table of sockets, which demonstrably knows
/// this filesystem, does not have it; and a connection is refused. What is removed is the very file that was examined, and
/// never what has its name by then.
///
/// A server in *another network namespace* is not in the table: it is told by the connection alone. One there that has
/// bound its socket and not called `listen` within the minimal age is taken for stale.
///
/// Dot-files are left alone.
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
/// let swept = Sweep::default().min_age(Duration::ZERO).run(dir.path())?;
/// for finding in &swept.findings {
///     println!("{:?}: {}", finding.path, finding.fate);
/// }
/// assert_eq!(swept.removed(), 1);
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
}

impl Default for Sweep {
    fn default() -> Self {
        Self { min_age: Duration::from_secs(60), owner: Owner::Trusted, dry_run: false }
    }
}

/// What became of a directory's sockets.
#[derive(Debug)]
#[non_exhaustive]
pub struct Swept {
    /// One for each socket, in the order of the names.
    pub findings: Vec<Finding>,
}

/// What became of one socket.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The directory as it was given, joined with the socket's name.
    pub path: PathBuf,
    /// What `lstat` said of it.
    pub facts: Facts,
    /// Whether somebody listens, as far as that has been asked.
    pub liveness: Liveness,
    /// Whether it is still there.
    pub fate: Fate,
}

/// Whether a socket is still there.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fate {
    /// It was stale and is gone.
    Removed,
    /// It is stale and would be gone, had the sweep not been a [dry run](Sweep::dry_run).
    WouldBeRemoved,
    /// It is still there.
    Kept(Kept),
}

/// Why a socket was kept.
#[derive(Debug)]
#[non_exhaustive]
pub enum Kept {
    /// Somebody has it.
    InUse,
    /// It is younger than the minimal age.
    Young(Duration),
    /// It belongs to this user, who is not one whose sockets are to be swept.
    Foreign(u32),
    /// Somebody holds the lock beside it: who starts, runs or ends there. With the pid, if it is known.
    Locked(Option<u32>),
    /// Its staleness could not be proven, and why not.
    Unproven(Doubt),
    /// It was gone, or another file had its name, when it was to be removed.
    Changed,
    /// Something came to have its name in the moment in which it was looked at aside, and could not be put back: it is
    /// now here.
    Displaced(PathBuf),
    /// It is stale and could not be removed.
    Failed(io::Error),
}

/// Why staleness could not be proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// The kernel's table of sockets cannot be read.
    NoTable,
    /// The table does not know sockets on this filesystem by the numbers that `lstat` tells (btrfs, some overlays).
    UnknownFilesystem,
    /// A connection was neither made nor refused.
    NoAnswer,
    /// The lock beside it cannot be examined.
    Lock,
}

impl Sweep {
    /// Leave alone what was made or changed less than this ago. A minute unless set.
    pub fn min_age(self, min_age: Duration) -> Self {
        Self { min_age, ..self }
    }

    /// Whose sockets to remove: our own and root's unless set.
    pub fn owner(self, owner: Owner) -> Self {
        Self { owner, ..self }
    }

    /// Only say what would be removed. All the same, what looks stale is connected to, and to see whether the kernel's
    /// table knows the filesystem a socket may be bound in the directory, under a dot-name, for a moment.
    pub fn dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// Sweeps `dir`. Blocks for as long as the filesystem takes, and waits for no server.
    ///
    /// # Errors
    ///
    /// The directory cannot be opened or listed: [`Error::Missing`], [`Error::NotADirectory`], [`Error::Unreadable`]. What
    /// goes wrong with a single socket is its [`Fate`].
    pub fn run(&self, dir: impl AsRef<Path>) -> Result<Swept, Error> {
        let handle = Handle::open(dir.as_ref())?;
        let sockets = handle.sockets(|name| DotFiles::Ignored.admit(name) || is_aside(name))?;
        // After the listing, so that they tell of all that was listed. Two, because one that comes in several pieces may
        // lack a socket whose neighbour was closed in between.
        let tables = Table::read().and_then(|first| Ok([first, Table::read()?])).ok();
        let mut examination = Examination { sweep: self, handle: &handle, tables, is_known_filesystem: None };
        let findings = sockets.into_iter().map(|(name, facts)| examination.of(&name, facts)).collect();
        Ok(Swept { findings })
    }
}

impl Swept {
    /// How many were removed.
    pub fn removed(&self) -> usize {
        self.findings.iter().filter(|finding| matches!(finding.fate, Fate::Removed)).count()
    }
}

struct Examination<'a> {
    sweep: &'a Sweep,
    handle: &'a Handle,
    tables: Option<[Table; 2]>,
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
        let tables = self.tables.as_ref().ok_or(Kept::Unproven(Doubt::NoTable))?;
        if let Some(entry) = tables.iter().find_map(|table| table.get(file_id(facts))) {
            self.is_known_filesystem = Some(true);
            *liveness = Liveness::of_entry(entry);
            return Err(Kept::InUse);
        }
        let age = age(facts);
        if age < self.sweep.min_age && !is_aside(name) {
            return Err(Kept::Young(age));
        }
        if !self.sweep.owner.admits(facts.uid) {
            return Err(Kept::Foreign(facts.uid));
        }
        // From here on the socket's file is held: its number means this file and no other.
        let held = match self.handle.find(name) {
            Ok(Some(held)) if held.facts.is_same_file(facts) => held,
            Ok(_) => return Err(Kept::Changed),
            Err(errno) => return Err(Kept::Failed(errno.into())),
        };
        let _guard = Guard::take(self.handle, name)?;
        *liveness = ask(&held).0;
        match liveness.verdict {
            Verdict::Listening | Verdict::Bound => return Err(Kept::InUse),
            Verdict::Stale | Verdict::Unknown if is_refused(liveness) => {}
            Verdict::Stale | Verdict::Unknown => return Err(Kept::Unproven(Doubt::NoAnswer)),
        }
        self.prove_filesystem()?;
        // It is old enough for whoever sweeps, which may be less than for others.
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
            None => {
                *self.is_known_filesystem.insert(is_told_of(self.handle).map_err(|errno| Kept::Failed(errno.into()))?)
            }
        };
        if is_known { Ok(()) } else { Err(Kept::Unproven(Doubt::UnknownFilesystem)) }
    }
}

/// Binds a socket in the directory, for a moment, and looks for it in the kernel's table.
fn is_told_of(handle: &Handle) -> Result<bool, Errno> {
    let name = aside();
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrUnix::new(handle.short_path_of(&name))?)?;
    // As long as the socket is open, its number is its own.
    let found = handle.find(&name);
    let is_told = found.as_ref().is_ok_and(|held| {
        let file = held.as_ref().map(|held| file_id(&held.facts));
        file.is_some_and(|file| Table::read().is_ok_and(|table| table.get(file).is_some()))
    });
    if let Some(held) = found?
        && handle.number_of(&name)? == Some(held.number())
    {
        unlinkat(handle, &name, AtFlags::empty())?;
    }
    Ok(is_told)
}

fn remove(handle: &Handle, name: &OsStr, held: &Held) -> Result<Fate, Kept> {
    match handle.number_of(name) {
        Ok(Some(number)) if number == held.number() => remove_aside(handle, name, held),
        Ok(_) => Err(Kept::Changed),
        Err(errno) => Err(Kept::Failed(errno.into())),
    }
}

/// There is no unlink-if-it-is-this-file: move it aside, look, and remove it or put it back.
fn remove_aside(handle: &Handle, name: &OsStr, held: &Held) -> Result<Fate, Kept> {
    let failed = |errno: Errno| Kept::Failed(errno.into());
    let aside = aside();
    match move_to_free(handle, name, &aside) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Err(Kept::Changed),
        Err(errno) => return Err(failed(errno)),
    }
    let is_it = handle.number_of(&aside) == Ok(Some(held.number()));
    if is_it && is_refused(&ask(held).0) {
        return match unlinkat(handle, &aside, AtFlags::empty()) {
            // Another sweep, that has come to the same end.
            Ok(()) | Err(Errno::NOENT) => Ok(Fate::Removed),
            Err(errno) => {
                let _ = move_to_free(handle, &aside, name);
                Err(failed(errno))
            }
        };
    }
    match move_to_free(handle, &aside, name) {
        Ok(()) if is_it => Err(Kept::InUse),
        Ok(()) | Err(Errno::NOENT) => Err(Kept::Changed),
        Err(_) => Err(Kept::Displaced(handle.path_of(&aside))),
    }
}

fn move_to_free(handle: &Handle, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
    match renameat_with(handle, from, handle, to, RenameFlags::NOREPLACE) {
        // The filesystem cannot do it in one step.
        Err(Errno::INVAL | Errno::NOSYS) => match handle.number_of(to)? {
            None => renameat(handle, from, handle, to),
            Some(_) => Err(Errno::EXIST),
        },
        result => result,
    }
}

/// A name that nothing has.
fn aside() -> OsString {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{ASIDE}{}-{number}", std::process::id()).into()
}

fn is_aside(name: &OsStr) -> bool {
    name.as_bytes().starts_with(ASIDE.as_bytes())
}

/// The lock that `uds-actor` keeps beside a socket, held, so that nobody who heeds it starts there meanwhile.
///
/// Where there is none, none is made: it would stay.
struct Guard(Option<OwnedFd>);

impl Drop for Guard {
    /// Closing is not enough while another thread is between fork and exec: its child has it open as well.
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            let _ = flock(file, FlockOperation::NonBlockingUnlock);
        }
    }
}

impl Guard {
    fn take(handle: &Handle, name: &OsStr) -> Result<Self, Kept> {
        let unproven = |_| Kept::Unproven(Doubt::Lock);
        let name = OsString::from_vec([b".", name.as_bytes(), b".lock"].concat());
        let file = match statat(handle, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT | Errno::NAMETOOLONG) => return Ok(Self(None)),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
                openat(handle, &name, flags, Mode::empty()).map_err(unproven)?
            }
            _ => return Err(Kept::Unproven(Doubt::Lock)),
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Kept::Locked(written_pid(&file))),
            Err(errno) => return Err(unproven(errno)),
        }
        let guard = Self(Some(file));
        // Locked, but is it still the file of that name?
        let stat = guard.0.as_ref().map(fstat).transpose().map_err(unproven)?;
        let number = stat.map(|stat| (stat.st_dev, stat.st_ino));
        if handle.number_of(&name).map_err(unproven)? == number { Ok(guard) } else { Err(Kept::Locked(None)) }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("removed"),
            Self::WouldBeRemoved => f.write_str("would be removed"),
            Self::Kept(why) => write!(f, "kept: {why}"),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("somebody has it"),
            Self::Young(age) => write!(f, "it is only {age:.0?} old"),
            Self::Foreign(uid) => write!(f, "it belongs to user {uid}"),
            Self::Locked(Some(pid)) => write!(f, "process {pid} holds its lock"),
            Self::Locked(None) => f.write_str("somebody holds its lock"),
            Self::Unproven(doubt) => write!(f, "not proven stale, {doubt}"),
            Self::Changed => f.write_str("its name changed hands"),
            Self::Displaced(at) => write!(f, "its name was taken meanwhile, it is now {at:?}"),
            Self::Failed(error) => write!(f, "it could not be removed: {error}"),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTable => "the kernel's table of sockets cannot be read",
            Self::UnknownFilesystem => "the kernel's table does not know this filesystem",
            Self::NoAnswer => "a connection was neither made nor refused",
            Self::Lock => "the lock beside it cannot be examined",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use rustix::net::listen;
    use tempfile::TempDir;

    use super::*;

    /// A directory with one socket, bound and not listening, held as if it had been found stale.
    fn scene() -> (TempDir, Handle, Held, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&socket, &SocketAddrUnix::new(dir.path().join("a")).unwrap()).unwrap();
        let handle = Handle::open(dir.path()).unwrap();
        let held = handle.find(OsStr::new("a")).unwrap().unwrap();
        (dir, handle, held, socket)
    }

    fn names(dir: &TempDir) -> Vec<OsString> {
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn what_has_taken_the_name_meanwhile_is_put_back() {
        let (dir, handle, held, _socket) = scene();
        fs::remove_file(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a"), "precious").unwrap();
        assert!(matches!(remove(&handle, OsStr::new("a"), &held), Err(Kept::Changed)));
        // The first look passed: it still was the one. The second one decides.
        assert!(matches!(remove_aside(&handle, OsStr::new("a"), &held), Err(Kept::Changed)));
        assert_eq!(names(&dir), ["a"]);
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "precious");
    }

    #[test]
    fn one_that_turns_out_to_listen_is_put_back() {
        let (dir, handle, held, socket) = scene();
        listen(&socket, 8).unwrap();
        assert!(matches!(remove(&handle, OsStr::new("a"), &held), Err(Kept::InUse)));
        assert_eq!(names(&dir), ["a"]);
        assert_eq!(handle.number_of(OsStr::new("a")), Ok(Some(held.number())));
    }

    #[test]
    fn moving_replaces_nothing() {
        let (dir, handle, _, _socket) = scene();
        drop(UnixListener::bind(dir.path().join("b")).unwrap());
        assert_eq!(move_to_free(&handle, OsStr::new("a"), OsStr::new("b")), Err(Errno::EXIST));
        assert_eq!(names(&dir).len(), 2);
    }

    #[test]
    fn the_table_knows_this_filesystem_and_asking_leaves_nothing() {
        let (dir, handle, _, _socket) = scene();
        assert_eq!(is_told_of(&handle), Ok(true));
        assert_eq!(names(&dir), ["a"]);
    }
}
