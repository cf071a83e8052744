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
}

impl Swept {
    /// How many were removed.
    pub fn removed(&self) -> usize {
        self.findings.iter().filter(|finding| matches!(finding.fate, Fate::Removed)).count()
    }
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
