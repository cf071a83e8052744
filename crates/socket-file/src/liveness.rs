//! Whether somebody serves a socket, and how that is known. Pure.
//!
//! A file tells neither that somebody listens (`bind` makes it, `listen` comes later and leaves no trace) nor that anybody
//! still does (a server that dies leaves it). Two can tell: the kernel's table of sockets, which disturbs nobody and shows
//! one network namespace, and a connection, which reaches every server and which every server notices.

use std::fmt;
use std::time::Duration;

use unix_diag::{Backlog, Entry};

/// What is known of whoever is behind a socket, and from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Liveness {
    /// What follows from the evidence.
    pub verdict: Verdict,
    /// Who said what.
    pub evidence: Evidence,
}

/// One of four, and the last is not the third.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Somebody listens; or it is a datagram socket, which takes messages as soon as it is bound.
    Listening,
    /// Somebody has bound it and does not listen, or not yet.
    Bound,
    /// Nobody has it, and nobody will: a socket's file cannot be bound a second time.
    Stale,
    /// It cannot be told, or not yet.
    Unknown,
}

/// What a [`Verdict`] stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// Nobody has been asked.
    None,
    /// The kernel's table has the socket.
    Table {
        /// The number of the kernel's socket: `/proc/PID/fd` of whoever holds it shows `socket:[number]`.
        inode: u32,
        /// Of a listener: how many connections wait, of how many.
        backlog: Option<Backlog>,
        /// Who made it, where the kernel says so.
        uid: Option<u32>,
    },
    /// The table does not have it, or could not be read, and this is what came of a connection.
    Connect(Answer),
    /// The table had it and has it no more. Nobody was connected to, because that is [forbidden](Probing::TableOnly).
    Vanished,
}

/// What a connection that is made only to be closed again has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answer {
    /// It was made, or it met a socket of another type than any that can be connected to.
    Accepted,
    /// It found the queue of a listener full.
    QueueFull,
    /// It was refused: nobody listens there.
    Refused,
    /// This process may not write to the socket.
    Denied,
    /// The socket is gone, or the system could not tell.
    Failed,
}

/// How much to do in order to know whether somebody listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probing {
    /// Ask the kernel's table, and connect to what it does not have: to a server in another network namespace that is
    /// one connection to begin with, and one from time to time, at last once a minute.
    #[default]
    TableAndConnect,
    /// Ask the kernel's table and never connect. What it does not have stays unknown, unless it once had it.
    TableOnly,
    /// Do not ask. A watcher announces no socket as ready, and nothing is found stale.
    Off,
}

/// So young a file that nobody listens on may be of a server that has not got to `listen` yet, in a network namespace that
/// we do not see.
pub const GRACE: Duration = Duration::from_secs(2);

impl Liveness {
    /// Of a socket that nobody has been asked about.
    pub const UNASKED: Self = Self { verdict: Verdict::Unknown, evidence: Evidence::None };

    /// The kernel's table has it.
    pub fn of_entry(entry: &Entry) -> Self {
        let verdict = if entry.is_served() { Verdict::Listening } else { Verdict::Bound };
        let Entry { inode, backlog, uid, .. } = *entry;
        Self { verdict, evidence: Evidence::Table { inode, backlog, uid } }
    }

    /// A connection was made because the kernel's table does not have the socket.
    ///
    /// A refusal proves only that nobody listens. That nobody ever will follows if the table has had the socket, for then
    /// it was one of ours and is gone, or if its file is `age` old and that is two seconds at least.
    pub fn of_answer(answer: Answer, was_in_table: bool, age: Duration) -> Self {
        let verdict = match answer {
            Answer::Accepted | Answer::QueueFull => Verdict::Listening,
            Answer::Refused if was_in_table || age >= GRACE => Verdict::Stale,
            Answer::Refused | Answer::Denied | Answer::Failed => Verdict::Unknown,
        };
        Self { verdict, evidence: Evidence::Connect(answer) }
    }

    /// Whether the kernel's table had it when it was last found anywhere.
    pub fn is_from_table(&self) -> bool {
        matches!(self.evidence, Evidence::Table { .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listening => "listening",
            Self::Bound => "bound, not listening",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("nobody was asked"),
            Self::Table { backlog: Some(Backlog { waiting, limit }), .. } => {
                write!(f, "the kernel's table has it, {waiting} of {limit} waiting")
            }
            Self::Table { backlog: None, .. } => f.write_str("the kernel's table has it"),
            Self::Connect(answer) => write!(f, "not in the kernel's table, and a connection {answer}"),
            Self::Vanished => f.write_str("the kernel's table had it"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "was accepted",
            Self::QueueFull => "found its queue full",
            Self::Refused => "was refused",
            Self::Denied => "was not permitted",
            Self::Failed => "failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use unix_diag::{Kind, State};

    use super::*;

    #[test]
    fn the_table_says_who_listens() {
        for (kind, state, verdict) in [
            (Kind::Stream, State::Listening, Verdict::Listening),
            (Kind::SeqPacket, State::Listening, Verdict::Listening),
            (Kind::Datagram, State::Unconnected, Verdict::Listening),
            (Kind::Stream, State::Unconnected, Verdict::Bound),
        ] {
            assert_eq!(Liveness::of_entry(&Entry::new(kind, state, 1)).verdict, verdict, "{kind:?} {state:?}");
        }
    }

    #[test]
    fn a_refusal_alone_does_not_make_a_young_socket_stale() {
        let young = GRACE - Duration::from_millis(1);
        for (answer, was_in_table, age, verdict) in [
            (Answer::Accepted, false, young, Verdict::Listening),
            (Answer::QueueFull, true, GRACE, Verdict::Listening),
            (Answer::Refused, false, young, Verdict::Unknown),
            (Answer::Refused, false, GRACE, Verdict::Stale),
            (Answer::Refused, true, Duration::ZERO, Verdict::Stale),
            (Answer::Denied, true, GRACE, Verdict::Unknown),
            (Answer::Failed, true, GRACE, Verdict::Unknown),
        ] {
            assert_eq!(Liveness::of_answer(answer, was_in_table, age).verdict, verdict, "{answer:?}");
        }
    }
}
