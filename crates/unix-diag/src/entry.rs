//! One socket of the table.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{major, minor};

/// A socket as the kernel describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// What kind of socket it is.
    pub kind: Option<SocketKind>,
    /// What state it is in.
    pub state: State,
    /// The number of the kernel's socket, which `/proc/PID/fd` shows as `socket:[number]`. Not that of its file.
    pub inode: u32,
    /// The file it is bound to; `None` if it has an abstract name or no name. A connection that a listener accepted has
    /// the listener's file.
    pub file: Option<FileId>,
    /// For a listener: its queue of connections that are not accepted yet.
    pub backlog: Option<Backlog>,
    /// The user who created the socket. Kernels before 5.3 do not report it.
    pub uid: Option<u32>,
}

impl Entry {
    /// A socket without a file, for tests of code that uses a table.
    pub fn new(kind: impl Into<Option<SocketKind>>, state: State, inode: u32) -> Self {
        Self { kind: kind.into(), state, inode, file: None, backlog: None, uid: None }
    }

    /// Whether a server uses its file: the socket listens, or is a datagram socket, which can receive as soon as it is
    /// bound.
    pub fn is_served(&self) -> bool {
        match (self.state, self.kind) {
            (State::Listening, _) | (_, Some(SocketKind::Datagram)) => true,
            (
                State::Unconnected | State::Connected | State::Other(_),
                Some(SocketKind::Stream | SocketKind::Seqpacket) | None,
            ) => false,
        }
    }

    /// Whether it listens and its queue is full.
    pub fn is_full(&self) -> bool {
        self.state == State::Listening && self.backlog.is_some_and(|backlog| backlog.waiting > backlog.limit)
    }
}

/// Which sockets to include.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Sockets that may serve at a file: those that listen, those that are neither connected nor listening, and all
    /// datagram sockets in any state, because the first `connect` to one makes it a
    /// [connected](State::Connected) one.
    Servers,
    /// Also connections, of which there are often many.
    All,
}

impl Which {
    /// The kernel filters by state alone, so connections come along with datagram sockets and are removed here.
    pub(crate) fn includes(self, entry: &Entry) -> bool {
        match self {
            Self::All => true,
            Self::Servers => entry.state != State::Connected || entry.kind == Some(SocketKind::Datagram),
        }
    }
}

/// How a socket keeps what is sent on it apart (`unix(7)`); Display is the noun: "stream".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SocketKind {
    /// Not at all: a stream of bytes, with a connection (`SOCK_STREAM`).
    Stream,
    /// Packet by packet, with a connection (`SOCK_SEQPACKET`).
    Seqpacket,
    /// Packet by packet, without a connection (`SOCK_DGRAM`).
    Datagram,
}

impl SocketKind {
    /// By the kernel's number (`socket(2)`); `None` for a kind that no Unix socket has.
    pub(crate) const fn of_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Stream),
            2 => Some(Self::Datagram),
            5 => Some(Self::Seqpacket),
            _ => None,
        }
    }
}

impl fmt::Display for SocketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream",
            Self::Seqpacket => "seqpacket",
            Self::Datagram => "datagram",
        })
    }
}

/// The state of a socket. The kernel uses the numbers of TCP states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// It is one end of a connection; or a datagram socket that has a default receiver, or is the default receiver of
    /// another.
    Connected,
    /// It is neither connected nor listening. If it has a file, it is bound to it.
    Unconnected,
    /// It listens.
    Listening,
    /// A state that this crate does not know.
    Other(u8),
}

impl State {
    pub(crate) const CONNECTED: u8 = 1;
    pub(crate) const UNCONNECTED: u8 = 7;
    pub(crate) const LISTENING: u8 = 10;
}

impl From<u8> for State {
    fn from(number: u8) -> Self {
        match number {
            Self::CONNECTED => Self::Connected,
            Self::UNCONNECTED => Self::Unconnected,
            Self::LISTENING => Self::Listening,
            other => Self::Other(other),
        }
    }
}

/// A listener's queue of connections that are not accepted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backlog {
    /// How many are waiting.
    pub waiting: u32,
    /// The argument of `listen`, capped by the system. One more than that may wait.
    pub limit: u32,
}

/// A file as the table identifies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The low half of `st_ino`: the table has only that.
    pub inode: u32,
    /// The device as the kernel numbers it internally: 12 bits major, 20 bits minor.
    pub device: u32,
}

impl FileId {
    /// The file that `lstat` described.
    pub fn of(metadata: &Metadata) -> Self {
        Self::new(metadata.dev(), metadata.ino())
    }

    /// From `st_dev` and `st_ino`.
    pub fn new(dev: u64, ino: u64) -> Self {
        Self { inode: ino as u32, device: major(dev) << 20 | minor(dev) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_and_a_datagram_socket_serve() {
        let entry = |kind, state| Entry::new(kind, state, 1);
        assert!(entry(SocketKind::Stream, State::Listening).is_served());
        assert!(entry(SocketKind::Seqpacket, State::Listening).is_served());
        assert!(entry(SocketKind::Datagram, State::Unconnected).is_served());
        assert!(entry(SocketKind::Datagram, State::Connected).is_served());
        assert!(!entry(SocketKind::Stream, State::Unconnected).is_served());
        assert!(!entry(SocketKind::Stream, State::Connected).is_served());
    }
}
