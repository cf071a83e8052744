//! What a sweep tells of each socket.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use socket_file::{Facts, Liveness};

/// What became of a directory's sockets.
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

/// What became of one lock file.
#[derive(Debug)]
#[non_exhaustive]
pub struct LockFinding {
    /// The directory as it was given, joined with the file's name.
    pub path: PathBuf,
    /// Whether it is still there.
    pub fate: LockFate,
}

/// Whether a lock file is still there.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockFate {
    /// No process held it, and it is gone.
    Removed,
    /// No process holds it, and it would be gone, had the sweep not been a [dry run](super::Sweep::dry_run).
    WouldBeRemoved,
    /// A process holds it. With the pid, if it is known.
    Held(Option<u32>),
    /// It is younger than the minimal age.
    Young(Duration),
    /// It belongs to this user, whose files are not to be swept.
    Foreign(u32),
    /// It could not be removed.
    Failed(io::Error),
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
    /// It is stale and would be gone, had the sweep not been a [dry run](super::Sweep::dry_run).
    WouldBeRemoved,
    /// It is still there.
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
    /// It belongs to this user, who is not one whose sockets are to be swept.
    Foreign(u32),
    /// A process holds the lock beside it: one that starts, runs or ends there. With the pid, if it is known.
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
    /// The directory is on this filesystem, on whose other side there may be a server that our kernel does not find. See
    /// [`Sweep::any_filesystem`](super::Sweep::any_filesystem).
    HiddenServers(&'static str),
    /// The directory lies behind an overlay or a FUSE mount, whose users' servers are bound to other inodes. See
    /// [`Sweep::any_filesystem`](super::Sweep::any_filesystem).
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
