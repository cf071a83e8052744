//! A socket as the directory shows it: where it is, which one it is, and who owns it.

use std::fmt;
use std::path::PathBuf;

use socket_file::{Facts, Liveness, SocketKind};

/// A socket file in the watched directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Socket {
    /// The watched directory as you gave it, joined with the socket's name. It need not be UTF-8; escape it (`{:?}`)
    /// before you print it to a terminal.
    pub path: PathBuf,
    /// Which of the sockets that have lived at `path` this one is.
    pub generation: Generation,
    /// What the last `lstat` returned.
    pub facts: Facts,
    /// The kind of socket. The file does not show it: unknown until the kernel's table or a connection does.
    pub kind: Option<SocketKind>,
    /// Whether a server uses it, as far as probes have shown. Seldom known in an [`Added`](crate::Event::Added), always
    /// in a [`Ready`](crate::Event::Ready).
    pub liveness: Liveness,
}

impl Socket {
    /// The id that a later [`Removed`](crate::Event::Removed) of this socket has.
    pub fn id(&self) -> SocketId {
        SocketId { path: self.path.clone(), generation: self.generation }
    }
}

/// One socket among all that have existed in the directory while it was watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId {
    /// As in [`Socket::path`].
    pub path: PathBuf,
    /// As in [`Socket::generation`].
    pub generation: Generation,
}

/// Distinguishes sockets that existed at the same path, one after the other.
///
/// At one path, generations only rise. A socket that is replaced while it is known is followed by exactly the next
/// generation. If a path was empty in between, the next socket may skip some, because nothing is remembered about names
/// that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    pub(crate) const FIRST: Self = Self(1);

    pub(crate) fn next(self) -> Self {
        // At a billion replacements a second, this lasts five hundred years.
        Self(self.0.saturating_add(1))
    }

    /// The number itself, from 1.
    pub fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
