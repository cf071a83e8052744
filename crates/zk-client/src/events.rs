//! What happens to the session, as a stream.

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

/// What happens to a session, in this order:
///
/// ```text
///   Connected ──► Suspended ──► Resumed ──► Suspended … ──► Ended
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The session was granted. A stream that begins later does not have it.
    Connected(SessionId),
    /// The connection is lost. The session may live on: be careful with what depends on ephemeral nodes, such as a lock.
    Suspended,
    /// The connection is back, with the same session, its authentications and its watches. The streams of persistent watches say
    /// [`Resync`](crate::WatchEvent::Resync).
    Resumed,
    /// The session is over, and the stream with it.
    Ended(Ending),
}

/// What happens to a session from now on; see [`Client::events`](crate::Client::events).
///
/// No event is left out. A stream in which 4,096 wait ends; what is wanted of it can be had from
/// [`Client::closed`](crate::Client::closed).
#[derive(Debug)]
pub struct SessionEvents(Reader<SessionEvent>);

/// Where the events of one stream go.
#[derive(Debug)]
pub(crate) struct Subscriber(Writer<SessionEvent>);

impl Subscriber {
    pub(crate) fn new() -> (Self, SessionEvents) {
        let (writer, reader) = queue(MAX_EVENTS);
        (Self(writer), SessionEvents(reader))
    }

    /// `false` when nothing more can be told.
    pub(crate) fn push(&self, event: SessionEvent) -> bool {
        self.0.push(event) == Pushed::Queued
    }

    /// Tells the last event.
    pub(crate) fn finish(self, event: SessionEvent) {
        self.0.push(event);
    }
}

impl SessionEvents {
    /// The next event; `None` when nothing follows.
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
