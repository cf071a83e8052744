//! What is known of the socket behind a file.

use std::fmt;

/// What is known of the socket behind a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Liveness {
    /// No socket is bound to it: its server ended without removing the file.
    Stale,
    /// No socket is found by it, but the file is less than two seconds old, and its server may be starting.
    Young,
    /// A socket is bound to it that does not listen (yet).
    Bound,
    /// A server listens on it. In another network namespace it may only be bound, which cannot be told apart.
    Live,
    /// A server listens on it, and its accept queue is full: it is busy, stopped or stuck.
    Wedged,
}

impl fmt::Display for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "stale",
            Self::Young => "less than two seconds old, and its server may be starting",
            Self::Bound => "bound, and its owner is not listening yet",
            Self::Live => "served",
            Self::Wedged => "served, and its accept queue is full",
        })
    }
}
