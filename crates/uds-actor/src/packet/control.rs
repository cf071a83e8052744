//! The handle that ends a packet actor and tells how it ended.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use super::turned_away::{TurnedAway, TurnedAwayLog};
use crate::{Peer, control, report};

/// Closes the socket of a [`packet::Actor`](super::Actor) and returns the report.
///
/// It is [`Control`](control::Control) with a count of the packets that were turned away. Dropping it does not end the
/// connection; dropping every handle does.
#[derive(Clone, Debug)]
pub struct Control {
    control: control::Control,
    turned_away: Arc<TurnedAwayLog>,
}

/// What became of everything that went through a packet socket. Display is one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// What became of the packets that were sent and received.
    pub connection: report::Report,
    /// Packets that were read and not received.
    pub turned_away: TurnedAway,
}

impl Control {
    pub(super) const fn new(control: control::Control, turned_away: Arc<TurnedAwayLog>) -> Self {
        Self { control, turned_away }
    }

    /// Who is at the other end, if the kernel vouches for it.
    #[must_use]
    pub const fn peer(&self) -> Option<&Peer> {
        self.control.peer()
    }

    /// The packets that were read so far and not received.
    #[must_use]
    pub fn turned_away(&self) -> TurnedAway {
        self.turned_away.get()
    }

    /// As [`Control::close`](control::Control::close); datagrams have no end to wait for, so that it reads what has arrived,
    /// as [`drain`](Self::drain) does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the request is made at the call, and the future only waits for the report. The last request counts.
    pub fn close(&self, deadline: Duration) -> impl Future<Output = Report> + Send + use<'_> {
        self.report(self.control.close(deadline))
    }

    /// As [`Control::drain`](control::Control::drain).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the request is made at the call, and the future only waits for the report. The last request counts.
    pub fn drain(&self, deadline: Duration) -> impl Future<Output = Report> + Send + use<'_> {
        self.report(self.control.drain(deadline))
    }

    /// Ends at once. What is queued comes back in the report.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the request is made at the call, and the future only waits for the report.
    pub fn abort(&self) -> impl Future<Output = Report> + Send + use<'_> {
        self.report(self.control.abort())
    }

    /// Waits until the actor has ended and the socket is closed, whatever ended it, and returns the report.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn finished(&self) -> impl Future<Output = Report> + Send + use<'_> {
        self.report(self.control.finished())
    }

    async fn report(&self, connection: impl Future<Output = report::Report> + Send) -> Report {
        Report { connection: connection.await, turned_away: self.turned_away() }
    }
}

/// The counts of the frames are read as those of a plain report.
impl Deref for Report {
    type Target = report::Report;

    fn deref(&self) -> &report::Report {
        &self.connection
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.fmt(f)?;
        if self.turned_away.is_empty() { Ok(()) } else { write!(f, "; {}", self.turned_away) }
    }
}
