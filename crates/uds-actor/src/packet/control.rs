//! The handle that ends a packet actor and returns its report.

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

/// The outcome of everything that went through a packet socket. Display is one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The report about the packets that were sent and received.
    pub connection: report::Report,
    /// Packets that were read and turned away.
    pub turned_away: TurnedAway,
}

impl Control {
    pub(super) const fn new(control: control::Control, turned_away: Arc<TurnedAwayLog>) -> Self {
        Self { control, turned_away }
    }

    /// The identity of the peer, if the kernel guarantees it.
    #[must_use]
    pub const fn peer(&self) -> Option<&Peer> {
        self.control.peer()
    }

    /// The packets that were read and turned away so far.
    #[must_use]
    pub fn turned_away(&self) -> TurnedAway {
        self.turned_away.get()
    }

    /// Like [`Control::close`](control::Control::close). Datagrams have no end to wait for, so for them it reads what
    /// has arrived, like [`drain`](Self::drain).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the call makes the request, and the future only waits for the report. If there are several
    /// requests, the last one counts.
    pub fn close(&self, deadline: Duration) -> impl Future<Output = Report> + Send + use<'_> {
        self.report(self.control.close(deadline))
    }

    /// See [`Control::drain`](control::Control::drain).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the call makes the request, and the future only waits for the report. If there are several
    /// requests, the last one counts.
    pub fn drain(&self, deadline: Duration) -> impl Future<Output = Report> + Send + use<'_> {
        self.report(self.control.drain(deadline))
    }

    /// Ends the connection immediately. The report contains what was queued.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the call makes the request, and the future only waits for the report.
    pub fn abort(&self) -> impl Future<Output = Report> + Send + use<'_> {
        self.report(self.control.abort())
    }

    /// Waits until the actor has ended for any reason and the socket is closed, and returns the report.
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

/// The counts of frames can be read directly, as in a plain report.
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
