//! Whether a server is behind a socket file, and how we know. Pure.
//!
//! The file does not show whether a server listens: `bind` creates it, `listen` comes later and leaves no trace in it,
//! and a server that dies leaves its file behind. Three sources can answer:
//!
//! | source | shows | noticed by the server |
//! |---|---|---|
//! | the kernel's table of sockets | everything, for one network namespace | no |
//! | a lookup of the file | whether any socket is bound to it, in any namespace | no |
//! | a connection | whether the server accepts | yes |

use std::fmt;
use std::time::Duration;

use unix_diag::{Backlog, Entry};

use crate::question::Answer;

/// What is known about the server of a socket, and the source of that knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Liveness {
    /// The conclusion from the evidence.
    pub verdict: Verdict,
    /// The source, and what it said.
    pub evidence: Evidence,
}

/// What the evidence allows us to conclude. `Unknown` does not imply `Stale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A process listens; or it is a datagram socket, which receives as soon as it is bound.
    Listening,
    /// A process has bound it and does not listen, or not yet.
    Bound,
    /// No process has it, and none will: a socket file cannot be bound a second time.
    Stale,
    /// We cannot tell, or not yet.
    Unknown,
}

/// The basis of a [`Verdict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// No source was asked.
    None,
    /// The kernel's table has the socket.
    Table {
        /// The number of the kernel's socket: in `/proc/PID/fd` of its process, it appears as `socket:[number]`.
        inode: u32,
        /// For a listener: the length and the limit of its accept queue.
        backlog: Option<Backlog>,
        /// The user that created it, if the kernel says.
        uid: Option<u32>,
    },
    /// The table does not have it, or could not be read, and the kernel gave this answer about its file.
    /// [`Probing`](crate::Probing) and the [`Answer`] show whether a connection was made.
    Connect(Answer),
    /// The table had it before and no longer does. Nothing else was asked, because of
    /// [`Probing::TableOnly`](crate::Probing::TableOnly).
    Vanished,
}

/// A file younger than this may belong to a server that is still inside `bind`: the file exists a moment before the
/// kernel knows its socket.
pub const GRACE: Duration = Duration::from_secs(2);

impl Liveness {
    /// A socket that was not examined.
    pub const UNASKED: Self = Self { verdict: Verdict::Unknown, evidence: Evidence::None };

    /// The kernel's table has the socket.
    pub fn of_entry(entry: &Entry) -> Self {
        let verdict = if entry.is_served() { Verdict::Listening } else { Verdict::Bound };
        let Entry { inode, backlog, uid, .. } = *entry;
        Self { verdict, evidence: Evidence::Table { inode, backlog, uid } }
    }

    /// The kernel's table does not have the socket; `answer` is what else the kernel said.
    ///
    /// If no socket is bound to the file, the socket is proven stale in two cases: if the table had it before, because
    /// then its server is gone, or if the file's `age` is at least two seconds. A socket file cannot be bound a second
    /// time.
    pub fn of_answer(answer: Answer, was_in_table: bool, age: Duration) -> Self {
        let verdict = match answer {
            Answer::Accepted | Answer::QueueFull => Verdict::Listening,
            Answer::Refused => Verdict::Bound,
            Answer::Unbound if was_in_table || age >= GRACE => Verdict::Stale,
            Answer::Unbound | Answer::Bound | Answer::Denied | Answer::Failed => Verdict::Unknown,
        };
        Self { verdict, evidence: Evidence::Connect(answer) }
    }

    /// Whether no socket is bound to the file, regardless of the conclusion.
    pub fn is_unbound(&self) -> bool {
        self.evidence == Evidence::Connect(Answer::Unbound)
    }

    /// Whether a server listens and its accept queue is full: the server is busy, stopped or stuck.
    pub fn is_full(&self) -> bool {
        match self.evidence {
            Evidence::Table { backlog: Some(Backlog { waiting, limit }), .. } => waiting > limit,
            Evidence::Connect(answer) => answer == Answer::QueueFull,
            Evidence::Table { backlog: None, .. } | Evidence::None | Evidence::Vanished => false,
        }
    }

    /// Whether the kernel's table had the socket when it was last found anywhere.
    pub fn is_from_table(&self) -> bool {
        matches!(self.evidence, Evidence::Table { .. })
    }
}

impl fmt::Display for Liveness {
    /// Completes the sentence "the socket is …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.verdict, self.evidence) {
            (Verdict::Unknown, Evidence::Connect(Answer::Unbound)) => {
                f.write_str("less than two seconds old, and its server may be starting")
            }
            (Verdict::Unknown, Evidence::Connect(Answer::Bound)) => {
                f.write_str("bound, in another network namespace as a rule, where it may be served")
            }
            (verdict, evidence) => write!(f, "{verdict} ({evidence})"),
        }
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
            Self::None => f.write_str("not asked"),
            Self::Table { backlog: Some(Backlog { waiting, limit }), .. } => {
                write!(f, "the kernel's table has it, {waiting} of {limit} waiting")
            }
            Self::Table { backlog: None, .. } => f.write_str("the kernel's table has it"),
            Self::Connect(answer) => write!(f, "not in the kernel's table, and {answer}"),
            Self::Vanished => f.write_str("the kernel's table had it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use unix_diag::{SocketKind, State};

    use super::*;

    #[test]
    fn the_table_says_who_listens() {
        for (kind, state, verdict) in [
            (Some(SocketKind::Stream), State::Listening, Verdict::Listening),
            (Some(SocketKind::Seqpacket), State::Listening, Verdict::Listening),
            (Some(SocketKind::Datagram), State::Unconnected, Verdict::Listening),
            (Some(SocketKind::Stream), State::Unconnected, Verdict::Bound),
        ] {
            assert_eq!(Liveness::of_entry(&Entry::new(kind, state, 1)).verdict, verdict, "{kind:?} {state:?}");
        }
    }

    #[test]
    fn only_what_nothing_is_bound_to_is_stale_and_not_while_it_is_young() {
        let young = GRACE - Duration::from_millis(1);
        for (answer, was_in_table, age, verdict) in [
            (Answer::Accepted, false, young, Verdict::Listening),
            (Answer::QueueFull, true, GRACE, Verdict::Listening),
            (Answer::Unbound, false, young, Verdict::Unknown),
            (Answer::Unbound, false, GRACE, Verdict::Stale),
            (Answer::Unbound, true, Duration::ZERO, Verdict::Stale),
            (Answer::Bound, false, GRACE, Verdict::Unknown),
            (Answer::Bound, true, GRACE, Verdict::Unknown),
            (Answer::Refused, false, GRACE, Verdict::Bound),
            (Answer::Refused, true, GRACE, Verdict::Bound),
            (Answer::Denied, true, GRACE, Verdict::Unknown),
            (Answer::Failed, true, GRACE, Verdict::Unknown),
        ] {
            assert_eq!(Liveness::of_answer(answer, was_in_table, age).verdict, verdict, "{answer:?}");
        }
    }
}
