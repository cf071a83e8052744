//! Questions to the kernel about one socket file, and its answers.

use std::fmt;

/// A question about a socket file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Is a socket bound to the file? The server does not notice.
    Lookup,
    /// Does the server accept? Connects, and closes the connection immediately.
    Connect,
}

/// The kernel's answer about a socket file that is not in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answer {
    /// A connection was made; or it is a datagram socket, which receives nothing from the question.
    Accepted,
    /// A connection failed because the listener's accept queue is full.
    QueueFull,
    /// A connection was refused although a socket is bound to the file: it does not listen.
    Refused,
    /// A socket is bound to the file. No connection was made, so the server has not noticed anything.
    Bound,
    /// No socket is bound to the file, in any network namespace.
    Unbound,
    /// This process has no permission to write to the socket.
    Denied,
    /// The socket is gone, or the system could not tell.
    Failed,
}

/// How much to do to find out whether a server listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probing {
    /// Ask the kernel: its table of sockets, and for a file that is not in the table, whether any socket is bound to
    /// it. No server notices. For a stream server in another network namespace, this shows that it exists, but not
    /// whether it listens.
    #[default]
    Kernel,
    /// Like `Kernel`, but also connect to sockets that are bound and not in the table. A server in another network
    /// namespace sees one connection that closes immediately, and then another one from time to time, eventually once a
    /// minute. Do not use this if a server may serve only its first connection.
    TableAndConnect,
    /// Ask only the kernel's table. A socket that is not in it stays unknown, unless it was in it before.
    TableOnly,
    /// Do not ask. A watcher reports no socket as ready, and no socket is found stale.
    Off,
}

impl Probing {
    /// The question for a file that is not in the table. `is_believed` says whether to rely on a lookup: you may if the
    /// table can be read or if [`is_conclusive`](crate::is_conclusive) returns `true`. Otherwise the system may only
    /// resemble Linux (gVisor), where a lookup fails for sockets that it should find.
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
