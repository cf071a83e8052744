//! The handle that ends a connection and returns the report.

use std::{sync::Arc, time::Duration};

use frame_codec::Batch;
use tokio::sync::watch;

use crate::{
    Peer,
    inbox::Inbox,
    report::{Ending, Report},
    requests::{Handles, Request, Requests},
};

/// Closes a connection and returns the report.
///
/// Dropping it does not end the connection; dropping every handle does.
#[derive(Clone, Debug)]
pub struct Control {
    requests: Arc<Requests>,
    inbox: Arc<Inbox>,
    ending: watch::Receiver<Option<Arc<Ending>>>,
    /// Frames that another task was still carrying to the actor at its end, if there is such a task. It passes them a
    /// little later.
    left_outside: Option<watch::Receiver<Option<Batch>>>,
    peer: Option<Peer>,
    _handles: Arc<Handles>,
}

impl Control {
    pub(crate) fn new(
        requests: Arc<Requests>,
        inbox: Arc<Inbox>,
        ending: watch::Receiver<Option<Arc<Ending>>>,
        peer: Option<Peer>,
        handles: Arc<Handles>,
    ) -> Self {
        Self { requests, inbox, ending, left_outside: None, peer, _handles: handles }
    }

    /// The same, for a report that waits for the frames that came too late for the actor. If the other task is gone,
    /// the report does not wait.
    pub(crate) fn awaiting(self, left_outside: watch::Receiver<Option<Batch>>) -> Self {
        Self { left_outside: Some(left_outside), ..self }
    }

    /// The identity of the peer, if the kernel guarantees it.
    #[must_use]
    pub const fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// Closes the connection normally: accepts no more frames, writes what is queued, closes our direction, and keeps
    /// receiving until the peer has closed its direction, or until `deadline` has passed. Then it ends immediately.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the call makes the request, and the future only waits for the report. If there are several
    /// requests, the last one counts.
    pub fn close(&self, deadline: Duration) -> impl Future<Output = Report> + Send + use<'_> {
        self.requests.ask(Request::Close(deadline));
        self.finished()
    }

    /// Reads what has arrived so far, and then ends: everything that the peer's kernel had at the time of the call is
    /// received. It accepts no more frames for sending, but writes what is queued. When `deadline` has passed, because
    /// the peer keeps sending or the receiver does not take what is there, it ends immediately.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the call makes the request, and the future only waits for the report. If there are several
    /// requests, the last one counts.
    pub fn drain(&self, deadline: Duration) -> impl Future<Output = Report> + Send + use<'_> {
        self.requests.ask(Request::Drain(deadline));
        self.finished()
    }

    /// Ends the connection immediately. The report contains what was queued.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the call makes the request, and the future only waits for the report.
    pub fn abort(&self) -> impl Future<Output = Report> + Send + use<'_> {
        self.requests.ask(Request::Abort);
        self.finished()
    }

    /// Waits until the connection has ended for any reason and the socket is closed, and returns the report.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn finished(&self) -> Report {
        let mut ending = self.ending.clone();
        let ending = ending.wait_for(Option::is_some).await;
        let ending =
            ending.ok().and_then(|ending| ending.clone()).expect("the task tells how it ended even when dropped");
        let mut report = ending.report(self.peer.clone(), self.inbox.counts());
        if let Some(mut outside) = self.left_outside.clone()
            && let Ok(left) = outside.wait_for(Option::is_some).await
        {
            report.unsent = Batch::concat([report.unsent].into_iter().chain(left.clone()));
        }
        report
    }

    /// Waits until the connection has ended and the socket is closed.
    pub(crate) async fn ended(&self) {
        // An error means that the task is gone, and so is the connection.
        let _ = self.ending.clone().wait_for(Option::is_some).await;
    }
}
