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
    /// What was on its way to the actor at its end, if another task carries frames to it. That task tells it a little later.
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

    /// The same, for a report that waits to be told what came too late for the actor. If the task that would tell it is gone,
    /// the report does not wait.
    pub(crate) fn awaiting(self, left_outside: watch::Receiver<Option<Batch>>) -> Self {
        Self { left_outside: Some(left_outside), ..self }
    }

    /// Who is at the other end, if the kernel vouches for it.
    #[must_use]
    pub const fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// Closes in an orderly way: takes no more frames, writes what is queued, closes our direction, and goes on
    /// receiving until the peer has closed its own — or until `deadline` has passed, and then ends at once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the request is made at the call, and the future only waits for the report. The last request counts.
    pub fn close(&self, deadline: Duration) -> impl Future<Output = Report> + Send + use<'_> {
        self.requests.ask(Request::Close(deadline));
        self.finished()
    }

    /// Reads what has arrived so far, and then ends: everything the peer had handed to its kernel when this was called is
    /// received. Takes no more frames for sending, but writes what is queued. When `deadline` has passed — because the
    /// peer keeps sending, or the receiver does not take what is there — it ends at once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the request is made at the call, and the future only waits for the report. The last request counts.
    pub fn drain(&self, deadline: Duration) -> impl Future<Output = Report> + Send + use<'_> {
        self.requests.ask(Request::Drain(deadline));
        self.finished()
    }

    /// Ends at once. What is queued comes back in the report.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the request is made at the call, and the future only waits for the report.
    pub fn abort(&self) -> impl Future<Output = Report> + Send + use<'_> {
        self.requests.ask(Request::Abort);
        self.finished()
    }

    /// Waits until the connection has ended and the socket is closed, whatever ended it, and returns the report.
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
        // An error means that the task is gone, and the connection with it.
        let _ = self.ending.clone().wait_for(Option::is_some).await;
    }
}
