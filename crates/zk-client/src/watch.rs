//! Watches: one event as a future, many as a stream.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::sync::oneshot;
use zk_proto::{EventType, WatchId, Zxid};

use crate::{
    client::Inner,
    error::{Error, Result},
    queue::{Pushed, Reader, Writer, queue},
};

/// What happened to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEvent {
    /// What.
    pub change: Change,
    /// To which node.
    pub path: String,
    /// The transaction that did it; `None` from servers before 3.9.
    pub zxid: Option<Zxid>,
}

/// What can happen to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// It was created.
    Created,
    /// It was deleted.
    Deleted,
    /// Its data was written, with the same bytes perhaps.
    Data,
    /// A child was created or deleted.
    Children,
    /// Something that this client has no name for.
    Unknown(i32),
}

/// What a persistent watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchEvent {
    /// Something happened to a node.
    Node(NodeEvent),
    /// Events may be missing: there was no connection, or the stream was not read. Read again what you need to know: what you
    /// are told from now on comes after it.
    Resync,
}

/// What a [watch](crate::Client::watch) covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WatchMode {
    /// The node and its list of children.
    Node,
    /// The node and every node below it. There are no events about lists of children.
    Tree,
}

/// Where the events of one watch go.
#[derive(Debug)]
pub(crate) enum Sink {
    Once { event: std::sync::Mutex<Option<oneshot::Sender<NodeEvent>>>, chroot: Option<Arc<str>> },
    Stream { events: Writer<WatchEvent>, chroot: Option<Arc<str>> },
}

impl Sink {
    pub(crate) fn once(chroot: Option<Arc<str>>) -> (Self, oneshot::Receiver<NodeEvent>) {
        let (sender, receiver) = oneshot::channel();
        (Self::Once { event: Some(sender).into(), chroot }, receiver)
    }

    pub(crate) fn stream(max: usize, chroot: Option<Arc<str>>) -> (Self, Reader<WatchEvent>) {
        let (events, reader) = queue(max);
        (Self::Stream { events, chroot }, reader)
    }

    /// Takes an event; `true` if nothing more can come.
    pub(crate) fn is_over_with(&self, notification: &zk_proto::Notification) -> bool {
        match self {
            Self::Once { event, chroot } => {
                let sender = event.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                if let Some(sender) = sender {
                    drop(sender.send(node_event(notification, chroot.as_deref())));
                }
                true
            }
            Self::Stream { events, chroot } => {
                match events.push(WatchEvent::Node(node_event(notification, chroot.as_deref()))) {
                    Pushed::Queued => false,
                    Pushed::Full => events.replace(WatchEvent::Resync) == Pushed::Gone,
                    Pushed::Gone => true,
                }
            }
        }
    }

    /// Takes note that events may be missing.
    pub(crate) fn resync(&self) {
        if let Self::Stream { events, .. } = self
            && events.push(WatchEvent::Resync) == Pushed::Full
        {
            events.replace(WatchEvent::Resync);
        }
    }
}

fn node_event(notification: &zk_proto::Notification, chroot: Option<&str>) -> NodeEvent {
    let event = &notification.event;
    NodeEvent {
        change: match EventType::from_number(event.kind) {
            EventType::Created => Change::Created,
            EventType::Deleted => Change::Deleted,
            EventType::DataChanged => Change::Data,
            EventType::ChildrenChanged => Change::Children,
            other => Change::Unknown(other.number()),
        },
        path: crate::chroot::strip(chroot, &event.path).to_owned(),
        zxid: (notification.zxid.0 >= 0).then_some(notification.zxid),
    }
}

/// A user's claim to a watch: dropping it ends the watch, without touching those of others.
pub(crate) struct Claim {
    client: Arc<Inner>,
    id: WatchId,
}

impl Claim {
    pub(crate) fn new(client: &Arc<Inner>, sink: Sink) -> Self {
        Self { client: Arc::clone(client), id: client.link.add_sink(sink) }
    }

    pub(crate) const fn id(&self) -> WatchId {
        self.id
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.client.link.remove_sink(self.id);
        if self.client.handle.with_protocol_mut(|session| session.unwatch(self.id)) {
            self.client.link.poke();
        }
    }
}

/// A watch for one event: await it.
///
/// It outlives connections: when the session has a new one, the server compares, and tells what was missed. Dropping it ends the
/// watch. It keeps the session open, as a [`Client`](crate::Client) does.
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
        Poll::Ready(event.map_err(|_| Error::ended(self.claim.client.link.final_ending())))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.claim.id.0).finish()
    }
}

/// A watch for every event, until it is dropped or the session ends: a stream.
///
/// It outlives connections, and says [`WatchEvent::Resync`] after each one that was lost. When it ends, the session has:
/// [`Client::closed`](crate::Client::closed) says how. It keeps the session open, as a [`Client`](crate::Client) does.
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
