//! Who sent it.

use std::fmt;

use uds_actor::{Address, Peer};

/// Numbers the producers of one funnel, from 1, in the order in which they joined. Never used twice.
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
/// Who it is comes from the kernel, never from what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Producer {
    /// Its number.
    pub id: ProducerId,
    /// Our address that it connected to, or its address that we connected to.
    pub address: Address,
    /// Which of the two.
    pub via: Via,
    /// Its identity: of the process that connected, or of the one that called `listen`.
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

/// How a connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Via {
    /// The producer connected to a listener of the funnel.
    Listener,
    /// The funnel connected to a socket of the producer.
    Directory,
}
