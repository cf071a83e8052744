//! What closing a connection that passes descriptors returns.

use std::{fmt, ops::Deref, os::fd::OwnedFd, sync::Arc};

use super::{fault::Fault, transit::Transit};
use crate::{reason::Reason, report};

/// The outcome of every frame and every descriptor of a connection. Display is one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The report about the frames.
    pub connection: report::Report,
    /// The report about the descriptors.
    pub descriptors: Descriptors,
}

impl Report {
    /// The stream has ended as `connection` says. Returns unsent descriptors to their frames.
    pub(super) fn new(mut connection: report::Report, transit: Arc<Transit>) -> Self {
        connection.unsent = transit.outgoing().give_back(connection.unsent);
        connection.truncated_receiving += transit.incoming().rejected_bytes;
        Self { connection, descriptors: Descriptors { transit } }
    }

    /// The fault in the passing of descriptors, if one ended the connection.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        match &self.connection.reason {
            Reason::Ancillary(fault) => fault.downcast_ref(),
            _ => None,
        }
    }
}

/// The counts of frames can be read directly, as in a plain report.
impl Deref for Report {
    type Target = report::Report;

    fn deref(&self) -> &report::Report {
        &self.connection
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; descriptors: {}", self.connection, self.descriptors)
    }
}

/// The outcome of every descriptor of a connection. Display is one line.
///
/// As long as the receiver exists, the numbers of delivered and closed descriptors are those at the time of the call.
#[derive(Clone, Debug)]
pub struct Descriptors {
    transit: Arc<Transit>,
}

impl Descriptors {
    /// Handed to the kernel with the first byte of their frame, and closed here.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.transit.outgoing().sent
    }

    /// Never sent: the descriptors of the frames in [`Report::unsent`](report::Report::unsent).
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.transit.outgoing().unsent
    }

    /// Closed with frames dropped by [`Overflow::DropNewest`](crate::Overflow::DropNewest).
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.transit.outgoing().dropped
    }

    /// Received into this process.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.transit.incoming().received
    }

    /// Returned by [`Receiver::recv_batch`](super::Receiver::recv_batch).
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.transit.incoming().delivered
    }

    /// Received and closed: their frame was truncated or did not match them, or the receiver was dropped.
    #[must_use]
    pub fn closed(&self) -> u64 {
        self.transit.incoming().closed()
    }

    /// Returns the descriptors that were never sent: one entry for each frame of
    /// [`Report::unsent`](report::Report::unsent), in that order. Only the first call returns them. Otherwise, they are
    /// closed with the last handle and report.
    #[must_use]
    pub fn take_unsent(&self) -> Vec<Vec<OwnedFd>> {
        self.transit.outgoing().take_given_back()
    }
}

impl fmt::Display for Descriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "handed over {}, unsent {}", self.sent(), self.unsent())?;
        write!(f, ", received {}, delivered {}, closed {}", self.received(), self.delivered(), self.closed())
    }
}
