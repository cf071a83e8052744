//! The handle that ends a connection that passes descriptors.

use std::{sync::Arc, time::Duration};

use super::{report::Report, transit::Transit};
use crate::{Peer, control, report};

/// Closes a connection whose frames carry descriptors, and returns the report.
///
/// It is [`Control`](control::Control) with a report that counts descriptors, too. Dropping it does not end the connection;
/// dropping every handle does.
#[derive(Clone, Debug)]
pub struct Control {
    control: control::Control,
    transit: Arc<Transit>,
}

impl Control {
    pub(super) const fn new(control: control::Control, transit: Arc<Transit>) -> Self {
        Self { control, transit }
    }

    /// The identity of the peer, if the kernel guarantees it.
    #[must_use]
    pub const fn peer(&self) -> Option<&Peer> {
        self.control.peer()
    }

    /// See [`Control::close`](control::Control::close).
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

    /// Waits until the connection has ended for any reason and the socket is closed, and returns the report.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn finished(&self) -> impl Future<Output = Report> + Send + use<'_> {
        self.report(self.control.finished())
    }

    async fn report(&self, connection: impl Future<Output = report::Report> + Send) -> Report {
        Report::new(connection.await, Arc::clone(&self.transit))
    }
}
