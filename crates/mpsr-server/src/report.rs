//! Reports: what happened to every message, by producer and in total.

use std::{fmt, io, sync::Arc, time::Duration};

use uds_actor::{Count, Reason};

use crate::{Producer, admission::Counts};

/// The complete report of one producer. It comes when all of its messages have been delivered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProducerReport {
    /// The producer.
    pub producer: Arc<Producer>,
    /// Complete messages that were read from it.
    pub received: Count,
    /// Messages returned by [`Funnel::recv`](crate::Funnel::recv) or [`Funnel::next`](crate::Funnel::next), and not
    /// [marked as lost](crate::Funnel::mark_lost) later.
    pub delivered: Count,
    /// Messages received and not delivered: the funnel was ended before it was empty, or the application marked them as
    /// lost.
    pub lost: Count,
    /// Bytes of a message that never became complete; 0 if the stream ended between messages.
    pub truncated_bytes: usize,
    /// Whether the last message ended with the connection, or with a shutdown, instead of its terminator. It may be the
    /// beginning of a longer message: a producer that is killed leaves its last line like that.
    pub unterminated: bool,
    /// Messages over the limit that were left out ([`Oversize::Skip`](frame_codec::Oversize::Skip)). They do not count
    /// as received.
    pub skipped: u64,
    /// Received messages that are the beginning of a message over the limit
    /// ([`Oversize::Shorten`](frame_codec::Oversize::Shorten)).
    pub shortened: u64,
    /// How the connection ended.
    pub parting: Parting,
}

impl ProducerReport {
    /// Whether nothing was received from it, not even part of a message. A probe leaves such a report.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.received.frames == 0
            && self.truncated_bytes == 0
            && self.skipped == 0
            && !matches!(self.parting, Parting::Malformed(_))
    }

    /// The number of truncated messages: 0 or 1.
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
    /// The producer closed it normally.
    Closed,
    /// The producer reset it, or the socket failed.
    Failed(Arc<io::Error>),
    /// The producer violated the framing.
    Malformed(frame_codec::DecodeError),
    /// Its socket vanished from the directory. What had arrived until then was received.
    Vanished,
    /// The funnel was shut down. What had arrived until then was received.
    Shutdown,
    /// The funnel was ended, or time ran out in a shutdown. Data that was still in the kernel was not received.
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
            // Also for `HungUp`: a producer ends by hanging up. We hold a sender but send nothing, so that makes no
            // difference.
            (_, None) => Self::Closed,
        }
    }

    /// Whether the producer caused an end that was not normal.
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

/// Why we asked a connection to end, if it then ended normally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The producer's socket is gone.
    #[cfg(feature = "dir")]
    Vanished,
    Shutdown,
}

/// The report of a whole funnel.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Connections from which messages could come.
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
    /// Connections closed because of a shortage of descriptors.
    pub shed: u64,
    /// Connections closed because their user had as many as [`Limits::per_uid`](crate::Limits::per_uid) allows.
    pub over_limit: u64,
    /// Connections of admitted peers that were closed with nothing read from them: time ran out in a shutdown, or the
    /// funnel had as many producers as [`Limits::admissions`](crate::Limits::admissions) allows. What was sent on them
    /// is lost, and we do not know how much that is.
    pub unread: u64,
    /// Sources that ended before the funnel did, or whose queue of connections could not be emptied. We do not know
    /// what was lost there; an [`Event::Trouble`](crate::Event::Trouble) gave the reason.
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

    /// Counts delivered messages as lost; at most as many as were delivered.
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
