//! The events of watches, and where they are delivered.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use zk_proto::{EventType, Zxid};

use crate::queue::{Pushed, Reader, Writer, queue};

/// A change to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEvent {
    /// The kind of change.
    pub change: Change,
    /// The path of the node.
    pub path: String,
    /// The transaction that caused the change; `None` from servers before 3.9.
    pub zxid: Option<Zxid>,
}

/// The kinds of changes to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// The node was created.
    Created,
    /// The node was deleted.
    Deleted,
    /// The node's data was written, possibly with the same bytes.
    Data,
    /// A child was created or deleted.
    Children,
    /// A change that this client has no name for.
    Unknown(i32),
}

/// An event of a persistent watch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchEvent {
    /// A node changed.
    Node(NodeEvent),
    /// Events may be missing: there was no connection, or you did not read the stream in time. Read again what you
    /// need to know. The events that follow this one happened later.
    Resync,
}

/// Where the events of one watch are delivered.
#[derive(Debug)]
pub(crate) enum Sink {
    Once { event: Mutex<Option<oneshot::Sender<NodeEvent>>>, chroot: Option<Arc<str>> },
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

    /// Delivers an event; `true` if no more can follow.
    pub(crate) fn is_over_with(&self, notification: &zk_proto::Notification) -> bool {
        match self {
            Self::Once { event, chroot } => {
                let sender = event.lock().unwrap_or_else(PoisonError::into_inner).take();
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

    /// Records that events may be missing.
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
        path: zk_proto::path::strip(chroot, &event.path).to_owned(),
        zxid: (notification.zxid.0 >= 0).then_some(notification.zxid),
    }
}
