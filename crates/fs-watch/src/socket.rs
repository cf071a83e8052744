//! A socket as the directory shows it: where it is, which one it is, whose it is.

use std::fmt;
use std::path::PathBuf;

use socket_file::{Facts, Kind, Liveness};

/// A socket file in the watched directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Socket {
    /// The watched directory as it was given, joined with the socket's name. Bytes, not necessarily
    /// UTF-8; escape it (`{:?}`) before it reaches a terminal.
    pub path: PathBuf,
    /// Which of the sockets that have lived at `path` this one is.
    pub generation: Generation,
    /// What `lstat` said when it was last looked at.
    pub facts: Facts,
    /// What kind of socket it is. The file does not tell: unknown until the kernel's table or a connection has.
    pub kind: Kind,
    /// Whether somebody serves it, as far as has been asked. Seldom known yet in an [`Added`](crate::Event::Added),
    /// always in a [`Ready`](crate::Event::Ready).
    pub liveness: Liveness,
}

impl Socket {
    /// The name under which a later [`Removed`](crate::Event::Removed) speaks of this socket.
    pub fn id(&self) -> SocketId {
        SocketId { path: self.path.clone(), generation: self.generation }
    }
}

/// One socket among all that ever lived in the directory while it was watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId {
    /// As in [`Socket::path`].
    pub path: PathBuf,
    /// As in [`Socket::generation`].
    pub generation: Generation,
}

/// Tells sockets apart that lived at one path, one after the other.
///
/// At any one path generations only rise. A socket that is replaced while it is known is followed by
/// exactly the next generation; one that comes back to a path that was empty may skip some, because
/// nothing is remembered of names that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    pub(crate) const FIRST: Self = Self(1);

    pub(crate) fn next(self) -> Self {
        // At a billion replacements a second this lasts five hundred years.
        Self(self.0.saturating_add(1))
    }

    /// The bare number, from 1.
    pub fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
