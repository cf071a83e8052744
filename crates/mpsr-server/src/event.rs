//! What a funnel returns.

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
    /// Their producer.
    #[must_use]
    pub const fn producer(&self) -> &Arc<Producer> {
        &self.producer
    }

    /// The messages.
    #[must_use]
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The messages, to be kept; their memory counts against the producer's bound until the last is dropped.
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

/// What [`Funnel::next`](crate::Funnel::next) returns.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A producer is connected. Comes before its first delivery.
    Joined(Arc<Producer>),
    /// Messages.
    Delivery(Delivery),
    /// Messages of a producer are missing here: they were larger than the limit and left out
    /// ([`Oversize::Skip`](frame_codec::Oversize::Skip)). Its next delivery is what it sent behind them.
    Missing {
        /// Their producer.
        producer: Arc<Producer>,
        /// How many messages, at least 1.
        count: u64,
    },
    /// A producer's connection has ended. Comes after its last delivery.
    Left(ProducerReport),
    /// Every socket that was in this place at the start has been found.
    Synced(Place),
    /// A peer that is not admitted. Its connection was closed, and nothing was received from it. There is one event for each
    /// such peer, at once.
    Rejected {
        /// The listener that it connected to, or its socket that the funnel connected to.
        place: Place,
        /// Its identity; `None` if the kernel does not provide it.
        peer: Option<Peer>,
    },
    /// The user of a peer has as many connections as [`Limits::per_uid`](crate::Limits::per_uid) allows. This one was closed,
    /// and nothing was received from it.
    OverLimit {
        /// The listener.
        place: Place,
        /// The peer's identity.
        peer: Peer,
    },
    /// Connections of admitted peers were waiting when a listener ended. They were closed, and nothing was received from them:
    /// time ran out in a shutdown, or the funnel had as many producers as
    /// [`Limits::admissions`](crate::Limits::admissions) allows. A connection that hung up without sending anything is not
    /// counted. There is at most one such event for each listener.
    Unread {
        /// The listener.
        place: Place,
        /// How many connections, at least 1.
        connections: u64,
    },
    /// The name of a listener no longer leads to it, so that no new producer finds it. Those that are connected stay.
    NameLost {
        /// The listener.
        place: Place,
        /// What became of the name.
        loss: NameLoss,
    },
    /// A listener has taken its name again: see [`Builder::rebind`](crate::Builder::rebind).
    Rebound(Place),
    /// A fault that you may want to look into. The funnel goes on.
    Trouble {
        /// Where.
        place: Place,
        /// What.
        error: Error,
    },
}

/// Where producers come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// A socket: the funnel's, which they connect to, or one of theirs.
    Socket(Address),
    /// A directory in which their sockets appear.
    Directory(PathBuf),
    /// A stream of [`Membership`](crate::Membership) that the application supplied.
    Members,
}

impl fmt::Display for Place {
    /// As an address on a command line; unprintable bytes are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Directory(path) => write!(f, "dir:{}", path.to_string_lossy().escape_debug()),
            Self::Members => f.write_str("members"),
        }
    }
}
