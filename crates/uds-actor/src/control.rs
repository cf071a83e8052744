//! The handle that ends a connection and tells how it ended.

use std::{
    sync::{Arc, PoisonError},
    task::Context,
    time::Duration,
};

use frame_codec::Batch;
use tokio::sync::watch;

use crate::{
    Peer,
    inbox::Inbox,
    packet::TurnedAway,
    report::{Ending, Report},
    sync::{Mutex, MutexGuard},
    waiters::Parked,
};

/// Closes a connection and gives the account of it.
///
/// Dropping it does not end the connection; dropping every handle does.
#[derive(Clone, Debug)]
pub struct Control {
    desk: Arc<Desk>,
    inbox: Arc<Inbox>,
    ending: watch::Receiver<Option<Arc<Ending>>>,
    /// What was on its way to the actor at its end, if somebody carries frames to it: told a little later.
    left_outside: Option<watch::Receiver<Option<Batch>>>,
    peer: Option<Peer>,
    _lease: Arc<Lease>,
}

impl Control {
    pub(crate) fn new(
        desk: Arc<Desk>,
        inbox: Arc<Inbox>,
        ending: watch::Receiver<Option<Arc<Ending>>>,
        peer: Option<Peer>,
        lease: Arc<Lease>,
    ) -> Self {
        Self { desk, inbox, ending, left_outside: None, peer, _lease: lease }
    }

    /// The same, for a report that waits to be told what came too late for the actor; not for ever, as whoever is to tell may
    /// be gone.
    pub(crate) fn awaiting(self, left_outside: watch::Receiver<Option<Batch>>) -> Self {
        Self { left_outside: Some(left_outside), ..self }
    }

    /// Who is at the other end, if the kernel vouches for it.
    #[must_use]
    pub const fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// What was read so far and not received, without an end to it: on datagram sockets.
    #[must_use]
    pub fn turned_away(&self) -> TurnedAway {
        self.desk.lock().turned_away.clone()
    }

    /// Closes in an orderly way: takes no more frames, writes what is queued, closes our direction, and goes on
    /// receiving until the peer has closed its own — or until `deadline` has passed, and then ends at once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it is asked for at the call, and the future only waits for the account. What is asked last holds.
    pub fn close(&self, deadline: Duration) -> impl Future<Output = Report> + Send + use<'_> {
        self.desk.ask(Request::Close(deadline));
        self.finished()
    }

    /// Reads what has arrived so far, and then ends: everything the peer had handed to its kernel when this was called is
    /// received. Takes no more frames for sending, but writes what is queued. When `deadline` has passed — because the
    /// peer keeps sending, or the receiver does not take what is there — it ends at once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it is asked for at the call, and the future only waits for the account. What is asked last holds.
    pub fn drain(&self, deadline: Duration) -> impl Future<Output = Report> + Send + use<'_> {
        self.desk.ask(Request::Drain(deadline));
        self.finished()
    }

    /// Ends at once. What is queued comes back in the report.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it is asked for at the call, and the future only waits for the account.
    pub fn abort(&self) -> impl Future<Output = Report> + Send + use<'_> {
        self.desk.ask(Request::Abort);
        self.finished()
    }

    /// Waits until the connection has ended and the socket is closed, whoever ended it, and gives the account.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn finished(&self) -> Report {
        let mut ending = self.ending.clone();
        let ending = ending.wait_for(Option::is_some).await;
        let ending =
            ending.ok().and_then(|ending| ending.clone()).expect("the task tells how it ended even when dropped");
        let mut report = ending.report(self.peer.clone(), self.inbox.counts(), self.turned_away());
        (report.skipped, report.shortened) = self.inbox.oversized();
        if let Some(mut outside) = self.left_outside.clone()
            && let Ok(left) = outside.wait_for(Option::is_some).await
        {
            report.unsent = Batch::concat([report.unsent].into_iter().chain(left.clone()));
        }
        report
    }

    /// Waits until the connection has ended and the socket is closed.
    pub(crate) async fn ended(&self) {
        // Who would tell is gone when the connection is.
        let _ = self.ending.clone().wait_for(Option::is_some).await;
    }
}

/// Where the handles leave word for the actor.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    request: Option<Request>,
    actor: Parked,
    turned_away: TurnedAway,
}

/// What an actor may be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Nobody holds a handle any longer.
    Abandon,
    Drain(Duration),
    Close(Duration),
    /// A sender found the outbox full, which is not allowed.
    Overflow,
    Abort,
}

impl Request {
    /// What has a higher rank is not overruled. Of one rank holds what was asked last, as it does when the actor has heard
    /// what was asked before.
    const fn rank(self) -> u8 {
        match self {
            Self::Abandon => 0,
            Self::Drain(_) | Self::Close(_) => 1,
            Self::Overflow => 2,
            Self::Abort => 3,
        }
    }
}

impl Desk {
    pub(crate) fn ask(&self, request: Request) {
        let mut state = self.lock();
        if state.request.is_none_or(|asked| asked.rank() <= request.rank()) {
            state.request = Some(request);
        }
        drop(state);
        self.ring();
    }

    /// Has the actor look at everything again, whatever it waits for.
    pub(crate) fn ring(&self) {
        let actor = self.lock().actor.take();
        if let Some(actor) = actor {
            actor.wake();
        }
    }

    /// What was asked since the last time; the actor is woken by what is asked later.
    pub(crate) fn take(&self, cx: &Context<'_>) -> Option<Request> {
        let mut state = self.lock();
        state.actor.park(cx);
        state.request.take()
    }

    /// Leaves word for whoever holds a handle: what the actor did not take in.
    pub(crate) fn turn_away(&self, note: impl FnOnce(&mut TurnedAway)) {
        note(&mut self.lock().turned_away);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock leaves the state half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by every handle together: when the last one goes, the actor hears of it.
#[derive(Debug)]
pub(crate) struct Lease(pub(crate) Arc<Desk>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.ask(Request::Abandon);
    }
}
