//! Producers, and their identity.

use std::fmt;

use uds_actor::{Address, Peer};

/// The number of a producer in its funnel. Numbers start at 1, follow the order of joining, and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub(crate) u64);

impl ProducerId {
    /// The number.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One connection that messages come from.
///
/// Its identity comes from the kernel, and never from what it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Producer {
    /// The producer's number.
    pub id: ProducerId,
    /// Our address, to which it connected, or its address, to which we connected.
    pub address: Address,
    /// Which of the two connected.
    pub via: Via,
    /// The identity of the process that connected, or of the one that called `listen`.
    pub peer: Peer,
}

impl fmt::Display for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.via {
            Via::Listener => write!(f, "producer {} ({})", self.id, self.peer),
            Via::Directory => write!(f, "producer {} at {} ({})", self.id, self.address, self.peer),
        }
    }
}

/// How a connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Via {
    /// The producer connected to a listener of the funnel.
    Listener,
    /// The funnel connected to a socket of the producer.
    Directory,
}
