//! The events of a session, as a stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use zk_proto::SessionId;

use crate::{
    ending::Ending,
    queue::{Pushed, Reader, Writer, queue},
};

/// Events that may wait in one stream.
const MAX_EVENTS: usize = 1 << 12;

/// The events of a session. They occur in this order:
///
/// ```text
///   Connected ──► Suspended ──► Resumed ──► Suspended … ──► Ended
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The session was granted. A stream that you create later does not include this event.
    Connected(SessionId),
    /// The connection is lost. The session may live on. Be careful with anything that depends on ephemeral nodes, such
    /// as a lock.
    Suspended,
    /// The client is connected again, with the same session, its authentications and its watches. The streams of
    /// persistent watches yield [`Resync`](crate::WatchEvent::Resync).
    Resumed,
    /// The session and this stream are over.
    Ended(Ending),
}

/// The events of a session from now on; see [`Client::events`](crate::Client::events).
///
/// No event is left out. If 4,096 events wait in a stream, the stream ends; [`Client::closed`](crate::Client::closed)
/// still reports the end of the session.
#[derive(Debug)]
pub struct SessionEvents(Reader<SessionEvent>);

/// The queue for the events of one stream.
#[derive(Debug)]
pub(crate) struct Subscriber(Writer<SessionEvent>);

impl Subscriber {
    pub(crate) fn new() -> (Self, SessionEvents) {
        let (writer, reader) = queue(MAX_EVENTS);
        (Self(writer), SessionEvents(reader))
    }

    /// `false` if the stream has ended.
    pub(crate) fn push(&self, event: SessionEvent) -> bool {
        self.0.push(event) == Pushed::Queued
    }

    /// Delivers the last event.
    pub(crate) fn finish(self, event: SessionEvent) {
        self.0.push(event);
    }
}

impl SessionEvents {
    /// The next event; `None` after the last one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        std::future::poll_fn(|cx| self.0.poll_next(cx)).await
    }
}

impl Stream for SessionEvents {
    type Item = SessionEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        self.0.poll_next(cx)
    }
}
