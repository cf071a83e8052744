//! What became of descriptors.

use std::{fmt, os::fd::OwnedFd, sync::Arc};

use super::books::Books;

/// What became of every descriptor that went through a connection, in [`Report::descriptors`](crate::Report::descriptors).
///
/// As long as the receiver lives, what was delivered and what is closed is as of the moment it is asked for.
#[derive(Clone, Debug)]
pub struct Report {
    books: Arc<Books>,
}

impl Report {
    pub(super) const fn new(books: Arc<Books>) -> Self {
        Self { books }
    }

    /// Handed to the kernel with the first byte of their frame, and closed here.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.books.outgoing().sent
    }

    /// Never sent: those of the frames in [`Report::unsent`](crate::Report::unsent).
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.books.outgoing().unsent
    }

    /// Closed with frames dropped by [`Overflow::DropNewest`](crate::Overflow::DropNewest).
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.books.outgoing().dropped
    }

    /// Received into this process.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.books.incoming().received
    }

    /// Returned by [`Receiver::recv_batch`](super::Receiver::recv_batch).
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.books.incoming().delivered
    }

    /// Received and closed: their frame was cut, did not fit them, or nobody was left to take it.
    #[must_use]
    pub fn closed(&self) -> u64 {
        self.books.incoming().closed()
    }

    /// Takes back the descriptors that were never sent: one entry for each frame of
    /// [`Report::unsent`](crate::Report::unsent), in that order. Who asks first has them; what nobody takes is closed
    /// with the last handle and report.
    #[must_use]
    pub fn take_returned(&self) -> Vec<Vec<OwnedFd>> {
        self.books.outgoing().take_given_back()
    }

    pub(crate) fn rejected_bytes(&self) -> usize {
        self.books.incoming().rejected_bytes
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "handed over {}, unsent {}", self.sent(), self.unsent())?;
        write!(f, ", received {}, delivered {}, closed {}", self.received(), self.delivered(), self.closed())
    }
}
