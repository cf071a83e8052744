//! What a sweep reports about each socket.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use socket_file::{Facts, Liveness};

/// What a sweep did in a directory.
#[derive(Debug)]
#[non_exhaustive]
pub struct Swept {
    /// One for each socket, in the order of the names.
    pub findings: Vec<Finding>,
    /// One for each lock file beside a socket, in the order of the names.
    pub locks: Vec<LockFinding>,
}

impl Swept {
    /// How many were removed.
    pub fn removed(&self) -> usize {
        self.findings.iter().filter(|finding| matches!(finding.fate, Fate::Removed)).count()
    }
}

/// What a sweep did with one lock file.
#[derive(Debug)]
#[non_exhaustive]
pub struct LockFinding {
    /// The directory as you gave it, joined with the file's name.
    pub path: PathBuf,
    /// Whether it still exists.
    pub fate: LockFate,
}

/// Whether a lock file still exists.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockFate {
    /// No process held it, and it was removed.
    Removed,
    /// No process holds it. It would be removed if the sweep were not a [dry run](super::Sweep::dry_run).
    WouldBeRemoved,
    /// A process holds it; with the pid, if known.
    Held(Option<u32>),
    /// It is younger than the minimal age.
    Young(Duration),
    /// It belongs to this user, and files of that user must not be swept.
    Foreign(u32),
    /// It could not be removed.
    Failed(io::Error),
}

/// What a sweep did with one socket.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The directory as you gave it, joined with the socket's name.
    pub path: PathBuf,
    /// What `lstat` returned.
    pub facts: Facts,
    /// Whether a server listens, as far as that was checked.
    pub liveness: Liveness,
    /// Whether it still exists.
    pub fate: Fate,
}

/// Whether a socket still exists.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fate {
    /// It was stale and has been removed.
    Removed,
    /// It is stale. It would be removed if the sweep were not a [dry run](super::Sweep::dry_run).
    WouldBeRemoved,
    /// It was kept.
    Kept(Kept),
}

/// Why a socket was kept.
#[derive(Debug)]
#[non_exhaustive]
pub enum Kept {
    /// A process has it.
    InUse,
    /// It is younger than the minimal age.
    Young(Duration),
    /// It belongs to this user, and sockets of that user must not be swept.
    Foreign(u32),
    /// A process holds the lock beside it: a server that starts, runs or ends there; with the pid, if known.
    Locked(Option<u32>),
    /// It could not be proven stale, for this reason.
    Unproven(Doubt),
    /// When it was to be removed, it was gone, or another file had its name.
    Changed,
    /// While it was aside for examination, another file took its name, so it could not be put back. It is now here.
    Displaced(PathBuf),
    /// It is stale and could not be removed.
    Failed(io::Error),
}

/// Why a socket could not be proven stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// The kernel's table of sockets cannot be read.
    NoTable,
    /// The table does not identify files on this filesystem by the numbers that `lstat` returns (btrfs, some overlays).
    UnknownFilesystem,
    /// The directory is on this filesystem. On its other side there may be a server that our kernel cannot find. See
    /// [`Sweep::any_filesystem`](super::Sweep::any_filesystem).
    HiddenServers(&'static str),
    /// The directory is behind an overlay or a FUSE mount, and servers that use the mount are bound to other inodes.
    /// See [`Sweep::any_filesystem`](super::Sweep::any_filesystem).
    BackingSide,
    /// The kernel did not say whether a socket is bound to it.
    NoAnswer,
    /// The lock beside it cannot be examined.
    Lock,
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

impl fmt::Display for LockFate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("removed"),
            Self::WouldBeRemoved => f.write_str("would be removed"),
            Self::Held(Some(pid)) => write!(f, "kept: process {pid} holds it"),
            Self::Held(None) => f.write_str("kept: a process holds it"),
            Self::Young(age) => write!(f, "kept: it is only {age:.0?} old"),
            Self::Foreign(uid) => write!(f, "kept: it belongs to user {uid}"),
            Self::Failed(error) => write!(f, "kept: it could not be removed: {error}"),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("in use"),
            Self::Young(age) => write!(f, "it is only {age:.0?} old"),
            Self::Foreign(uid) => write!(f, "it belongs to user {uid}"),
            Self::Locked(Some(pid)) => write!(f, "process {pid} holds its lock"),
            Self::Locked(None) => f.write_str("a process holds its lock"),
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
            Self::HiddenServers(filesystem) => {
                return write!(
                    f,
                    "it is on {filesystem}, where another system may have a server that is not seen here"
                );
            }
            Self::BackingSide => {
                "its directory is shown elsewhere by an overlay or a FUSE mount, where it may be served"
            }
            Self::NoTable => "the kernel's table of sockets cannot be read",
            Self::UnknownFilesystem => "the kernel's table does not know this filesystem",
            Self::NoAnswer => "the kernel does not say whether a socket is bound to it",
            Self::Lock => "the lock beside it cannot be examined",
        })
    }
}
