//! What the kernel is asked about one socket's file, and what it answers.

use std::fmt;

/// Which question to put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Is a socket bound to the file? Its server does not notice.
    Lookup,
    /// Does it accept? Connects and closes at once.
    Connect,
}

/// What the kernel said of a socket's file that its table does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answer {
    /// A connection was made; or it is a datagram socket, which receives nothing because of the question.
    Accepted,
    /// A connection found the queue of a listener full.
    QueueFull,
    /// A connection was refused, although a socket is bound to the file: it does not listen.
    Refused,
    /// A socket is bound to the file. It was not connected to, and the server has not noticed anything.
    Bound,
    /// No socket is bound to the file, in any network namespace.
    Unbound,
    /// This process may not write to the socket.
    Denied,
    /// The socket is gone, or the system could not tell.
    Failed,
}

/// How much to do in order to know whether a server listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probing {
    /// Ask the kernel: its table of sockets, and, for a file that the table does not have, whether any socket is bound to
    /// it. No server notices. A stream server in another network namespace is found to be there, and whether it listens
    /// stays unknown.
    #[default]
    Kernel,
    /// As `Kernel`, and connect to what is bound and not in the table. A server in another network namespace sees one
    /// connection that closes at once, and another one from time to time, in the end once a minute. Do not use this where
    /// a server may serve only its first connection.
    TableAndConnect,
    /// Ask the kernel's table and nothing else. What it does not have stays unknown, unless it once had it.
    TableOnly,
    /// Do not ask. A watcher announces no socket as ready, and nothing is found stale.
    Off,
}

impl Probing {
    /// What to ask about a file that the table does not have. `is_believed` if a lookup is believed: there is a table, or
    /// [`is_conclusive`](crate::is_conclusive) says so. Without either we may be on a system that only resembles Linux (gVisor),
    /// where a lookup refuses what it should find.
    pub fn question(self, is_believed: bool) -> Option<Question> {
        match self {
            Self::Kernel if is_believed => Some(Question::Lookup),
            Self::TableAndConnect => Some(Question::Connect),
            Self::Kernel | Self::TableOnly | Self::Off => None,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "a connection was accepted",
            Self::QueueFull => "a connection found its queue full",
            Self::Refused => "a connection was refused, although a socket is bound to it",
            Self::Bound => "a socket is bound to it, which was not connected to",
            Self::Unbound => "no socket is bound to it",
            Self::Denied => "a connection was not permitted",
            Self::Failed => "a connection failed",
        })
    }
}
