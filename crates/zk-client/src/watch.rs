//! Watches: one event as a future, many as a stream.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use packetizer::Handle;
use tokio::sync::oneshot;
use zk_proto::{Session, WatchId};

use crate::{
    error::{Error, Result},
    link::Link,
    queue::Reader,
    sink::{NodeEvent, Sink, WatchEvent},
};

/// What a [watch](crate::Client::watch) covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WatchMode {
    /// The node and its list of children.
    Node,
    /// The node and every node below it. There are no events about lists of children.
    Tree,
}

/// A user's share of a watch. Dropping it ends this share and leaves those of other users.
pub(crate) struct Claim {
    handle: Handle<Session>,
    link: Arc<Link>,
    id: WatchId,
}

impl Claim {
    pub(crate) fn new(handle: &Handle<Session>, link: &Arc<Link>, sink: Sink) -> Self {
        Self { handle: handle.clone(), link: Arc::clone(link), id: link.add_sink(sink) }
    }

    pub(crate) const fn id(&self) -> WatchId {
        self.id
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.link.remove_sink(self.id);
        if self.handle.with_protocol_mut(|session| session.unwatch(self.id)) {
            self.link.poke();
        }
    }
}

/// A watch for one event. Await it.
///
/// It outlives connections: when the session has a new one, the server compares states and sends what was missed.
/// Dropping it ends the watch. Like a [`Client`](crate::Client), it keeps the session open.
///
/// # Errors
///
/// [`Error::SessionExpired`], [`Error::AuthFailed`] or [`Error::Closed`] when the session ends before the event.
///
/// # Cancel safety
///
/// Dropping it ends the watch; awaiting `&mut watch` is cancel safe.
#[must_use = "dropping a watch ends it"]
pub struct Watch {
    event: oneshot::Receiver<NodeEvent>,
    claim: Claim,
}

impl Watch {
    pub(crate) const fn new(event: oneshot::Receiver<NodeEvent>, claim: Claim) -> Self {
        Self { event, claim }
    }
}

impl Future for Watch {
    type Output = Result<NodeEvent>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<NodeEvent>> {
        let event = ready!(Pin::new(&mut self.event).poll(cx));
        Poll::Ready(event.map_err(|_| Error::ended(self.claim.link.final_ending())))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.claim.id.0).finish()
    }
}

/// A watch for every event, as a stream, until you drop it or the session ends.
///
/// It outlives connections, and yields [`WatchEvent::Resync`] after each connection that was lost. The stream ends when
/// the session ends; [`Client::closed`](crate::Client::closed) says how. Like a [`Client`](crate::Client), it keeps the
/// session open.
#[must_use = "dropping a watch ends it"]
pub struct Watches {
    events: Reader<WatchEvent>,
    claim: Claim,
}

impl Watches {
    pub(crate) const fn new(events: Reader<WatchEvent>, claim: Claim) -> Self {
        Self { events, claim }
    }

    /// The next event; `None` when the session is over.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        std::future::poll_fn(|cx| self.events.poll_next(cx)).await
    }
}

impl Stream for Watches {
    type Item = WatchEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WatchEvent>> {
        self.events.poll_next(cx)
    }
}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watches").field(&self.claim.id.0).finish()
    }
}
