//! What a funnel returns: deliveries and other events.

use std::{fmt, path::PathBuf, sync::Arc};

use frame_codec::{Batch, Frames, IntoFrames};
use uds_actor::{Address, NameLoss, Peer};

use crate::{Error, Producer, ProducerReport};

/// Messages of one producer, in the order in which it sent them.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub(crate) producer: Arc<Producer>,
    pub(crate) batch: Batch,
}

impl Delivery {
    /// The producer of the messages.
    #[must_use]
    pub const fn producer(&self) -> &Arc<Producer> {
        &self.producer
    }

    /// The messages.
    #[must_use]
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The messages, to keep. Their memory counts against the producer's limit until the last of them is dropped.
    #[must_use]
    pub fn into_batch(self) -> Batch {
        self.batch
    }
}

impl<'a> IntoIterator for &'a Delivery {
    type Item = &'a [u8];
    type IntoIter = Frames<'a>;

    fn into_iter(self) -> Frames<'a> {
        self.batch.iter()
    }
}

impl IntoIterator for Delivery {
    type Item = <Batch as IntoIterator>::Item;
    type IntoIter = IntoFrames;

    fn into_iter(self) -> IntoFrames {
        self.batch.into_frames()
    }
}

/// An event of a funnel: see [`Funnel::next`](crate::Funnel::next).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A producer has connected. This comes before its first delivery.
    Joined(Arc<Producer>),
    /// Messages.
    Delivery(Delivery),
    /// Messages of a producer are missing here, because they were larger than the limit and left out
    /// ([`Oversize::Skip`](frame_codec::Oversize::Skip)). The producer's next delivery is what it sent after them.
    Missing {
        /// The producer of the messages.
        producer: Arc<Producer>,
        /// How many messages, at least 1.
        count: u64,
    },
    /// A producer's connection has ended. This comes after its last delivery.
    Left(ProducerReport),
    /// Every socket that this source had at the start has been found.
    Synced(Place),
    /// A peer is not admitted. The funnel closed its connection without receiving anything, and reports each such peer
    /// immediately.
    Rejected {
        /// The listener that it connected to, or its socket that the funnel connected to.
        place: Place,
        /// The peer's identity; `None` if the kernel does not provide it.
        peer: Option<Peer>,
    },
    /// The user of a peer has as many connections as [`Limits::per_uid`](crate::Limits::per_uid) allows. The funnel
    /// closed this one without receiving anything.
    OverLimit {
        /// The listener.
        place: Place,
        /// The peer's identity.
        peer: Peer,
    },
    /// Connections of admitted peers were waiting when a listener ended, and the funnel closed them without receiving
    /// anything: time ran out in a shutdown, or the funnel had as many producers as
    /// [`Limits::admissions`](crate::Limits::admissions) allows. A connection that hung up without sending anything
    /// does not count. There is at most one such event for each listener.
    Unread {
        /// The listener.
        place: Place,
        /// How many connections, at least 1.
        connections: u64,
    },
    /// The name of a listener no longer leads to it, so new producers cannot find it. Existing connections stay.
    NameLost {
        /// The listener.
        place: Place,
        /// What happened to the name.
        loss: NameLoss,
    },
    /// A listener has bound its name again: see [`Builder::rebind`](crate::Builder::rebind).
    Rebound(Place),
    /// A problem that you may want to look into. The funnel continues.
    Trouble {
        /// The source.
        place: Place,
        /// The problem.
        error: Error,
    },
}

/// A source of producers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// A socket: the funnel's listener, or a producer's socket that the funnel connected to.
    Socket(Address),
    /// A directory in which producers offer sockets.
    Directory(PathBuf),
    /// A stream of [`Membership`](crate::Membership) that the application supplied.
    Members,
}

impl fmt::Display for Place {
    /// Displays an address as on a command line, with unprintable bytes escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Directory(path) => write!(f, "dir:{}", path.to_string_lossy().escape_debug()),
            Self::Members => f.write_str("members"),
        }
    }
}
