//! What became of everything, producer by producer and in all.

use std::{fmt, io, sync::Arc, time::Duration};

use uds_actor::{Count, Reason};

use crate::{Producer, admission::Counts};

/// The report of one producer, complete: it comes when everything of it has been delivered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProducerReport {
    /// Who.
    pub producer: Arc<Producer>,
    /// Complete messages read from it.
    pub received: Count,
    /// Messages returned by [`Funnel::recv`](crate::Funnel::recv) or [`Funnel::next`](crate::Funnel::next), and not
    /// [marked as lost](crate::Funnel::mark_lost) later.
    pub delivered: Count,
    /// Messages received and not delivered: where the funnel was ended before it was empty, or the application marked them.
    pub lost: Count,
    /// Bytes of a message that never became complete; 0 if the stream ended between messages.
    pub truncated_bytes: usize,
    /// Whether its last message was ended by the end of the connection, or by a shutdown, instead of its terminator. It may
    /// be the beginning of a longer one: a producer that is killed leaves its last line like that.
    pub unterminated: bool,
    /// Messages over the limit that were left out ([`Oversize::Skip`](frame_codec::Oversize::Skip)); not received.
    pub skipped: u64,
    /// Messages received that are the beginnings of messages over the limit
    /// ([`Oversize::Shorten`](frame_codec::Oversize::Shorten)).
    pub shortened: u64,
    /// How it ended.
    pub parting: Parting,
}

impl ProducerReport {
    /// Whether nothing came from it: no message, and no part of one. A probe leaves such a report.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.received.frames == 0
            && self.truncated_bytes == 0
            && self.skipped == 0
            && !matches!(self.parting, Parting::Malformed(_))
    }

    /// Messages that were truncated: 0 or 1.
    #[must_use]
    pub const fn truncated(&self) -> u64 {
        (self.truncated_bytes > 0) as u64
    }
}

impl fmt::Display for ProducerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}; received {}, delivered {}, truncated {}, lost {}",
            self.producer,
            self.parting,
            self.received.frames,
            self.delivered.frames,
            self.truncated(),
            self.lost.frames,
        )?;
        if self.unterminated {
            f.write_str(", the last one unterminated")?;
        }
        if self.skipped > 0 {
            write!(f, ", skipped {} over the limit", self.skipped)?;
        }
        if self.shortened > 0 {
            write!(f, ", shortened {} over the limit", self.shortened)?;
        }
        Ok(())
    }
}

/// How a producer's connection ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Parting {
    /// The producer closed it in an orderly way.
    Closed,
    /// The producer reset it, or the socket failed.
    Failed(Arc<io::Error>),
    /// The producer broke the framing.
    Malformed(frame_codec::DecodeError),
    /// Its socket vanished from the directory, and what had arrived until then was received.
    Vanished,
    /// The funnel was shut down, and what had arrived until then was received.
    Shutdown,
    /// The funnel was ended, or time ran out in a shutdown; what was still in the kernel is not received.
    Abandoned,
}

impl Parting {
    pub(crate) fn new(reason: Reason, asked: Option<Asked>) -> Self {
        match (reason, asked) {
            (Reason::Failed(error), _) => Self::Failed(error),
            (Reason::Malformed(error), _) => Self::Malformed(error),
            (Reason::DeadlineExceeded | Reason::InboxFull | Reason::Aborted, _) => Self::Abandoned,
            #[cfg(feature = "dir")]
            (_, Some(Asked::Vanished)) => Self::Vanished,
            (_, Some(Asked::Shutdown)) => Self::Shutdown,
            // Also `HungUp`: a producer ends by hanging up. That we hold a sender, which sends nothing, changes nothing.
            (_, None) => Self::Closed,
        }
    }

    /// Whether the producer's side caused an end that was not orderly.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        match self {
            Self::Failed(_) | Self::Malformed(_) => true,
            Self::Closed | Self::Vanished | Self::Shutdown | Self::Abandoned => false,
        }
    }
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Malformed(error) => write!(f, "malformed: {error}"),
            Self::Vanished => f.write_str("vanished"),
            Self::Shutdown => f.write_str("shut down"),
            Self::Abandoned => f.write_str("abandoned"),
        }
    }
}

/// What we asked of a connection that then ended in an orderly way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Its socket has gone.
    #[cfg(feature = "dir")]
    Vanished,
    Shutdown,
}

/// The report of a whole funnel.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Connections that messages could come from.
    pub producers: u64,
    /// Complete messages read.
    pub received: Count,
    /// Messages returned to the application.
    pub delivered: Count,
    /// Messages received and not delivered.
    pub lost: Count,
    /// Messages that never became complete.
    pub truncated: u64,
    /// Producers with an [unterminated](ProducerReport::unterminated) last message.
    pub unterminated: u64,
    /// Messages over the limit that were left out.
    pub skipped: u64,
    /// Messages over the limit of which the beginning was delivered.
    pub shortened: u64,
    /// Connections closed because their peer is not admitted.
    pub rejected: u64,
    /// Connections closed for want of descriptors.
    pub shed: u64,
    /// Connections closed because their user had as many as [`Limits::per_uid`](crate::Limits::per_uid) allows.
    pub over_limit: u64,
    /// Connections of admitted peers that were closed with nothing read from them: time ran out in a shutdown, or the funnel
    /// had as many producers as [`Limits::admissions`](crate::Limits::admissions) allows. What was sent on them is lost, and
    /// how much that is is not known.
    pub unread: u64,
    /// Sources that ended before the funnel did, or whose queue of connections could not be emptied. What was lost there is
    /// not known; an [`Event::Trouble`](crate::Event::Trouble) said why.
    pub failed_sources: u64,
    /// How long the funnel ran.
    pub elapsed: Duration,
}

impl Report {
    pub(crate) fn add(&mut self, left: &ProducerReport) {
        self.received += left.received;
        self.delivered += left.delivered;
        self.lost += left.lost;
        self.truncated += left.truncated();
        self.unterminated += u64::from(left.unterminated);
        self.skipped += left.skipped;
        self.shortened += left.shortened;
    }

    pub(crate) fn count(&mut self, counts: Counts) {
        let Counts { rejected, shed, over_limit, unread, failed_sources } = counts;
        (self.rejected, self.shed, self.over_limit) = (rejected, shed, over_limit);
        (self.unread, self.failed_sources) = (unread, failed_sources);
    }

    /// Counts messages that were delivered as lost; no more than were delivered.
    pub(crate) fn mark_lost(&mut self, count: Count) {
        let Count { frames, bytes } = self.delivered;
        let count = Count { frames: count.frames.min(frames), bytes: count.bytes.min(bytes) };
        self.delivered = self.delivered - count;
        self.lost += count;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: u64, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        write!(
            f,
            "received {} from {}, delivered {}, truncated {}, lost {}",
            count(self.received.frames, "message"),
            count(self.producers, "producer"),
            self.delivered.frames,
            self.truncated,
            self.lost.frames,
        )?;
        if self.unterminated > 0 {
            write!(f, ", unterminated {}", self.unterminated)?;
        }
        if self.skipped > 0 {
            write!(f, ", skipped {} over the limit", self.skipped)?;
        }
        if self.shortened > 0 {
            write!(f, ", shortened {} over the limit", self.shortened)?;
        }
        if self.rejected > 0 {
            write!(f, ", rejected {}", count(self.rejected, "connection"))?;
        }
        if self.shed > 0 {
            write!(f, ", shed {}", count(self.shed, "connection"))?;
        }
        if self.over_limit > 0 {
            write!(f, ", closed {} over the limit of a user", count(self.over_limit, "connection"))?;
        }
        if self.unread > 0 {
            write!(f, ", closed {} unread", count(self.unread, "connection"))?;
        }
        if self.failed_sources > 0 {
            write!(f, ", {} failed", count(self.failed_sources, "source"))?;
        }
        Ok(())
    }
}
