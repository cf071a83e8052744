//! Spans of requests, with the feature `tracing`: operation, path, xid, and how long the reply took. Without the feature, nothing.

use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use packetizer::{Call, Route, TicketOf};
use zk_proto::{Session, session::Context};

use crate::error::Error;

/// A call, and the number that it is given when it is encoded.
pub(crate) struct Traced<'a, C> {
    call: &'a C,
    trace: Trace,
    xid: Cell<Option<i32>>,
}

impl<'a, C> Traced<'a, C> {
    pub(crate) fn new(call: &'a C, operation: &'static str, path: &str) -> Self {
        Self { call, trace: Trace::new(operation, path), xid: Cell::new(None) }
    }

    /// What is to be finished with the reply.
    pub(crate) fn into_trace(self) -> Trace {
        self.trace.begin(self.xid.get());
        self.trace
    }
}

impl<C: Call<Protocol = Session>> Call for Traced<'_, C> {
    type Protocol = Session;
    type Reply = C::Reply;

    fn encode(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, zk_proto::Error> {
        let ticket = self.call.encode(session, frame)?;
        if let Route::Lane { tag: Some(xid), .. } = &ticket.route {
            self.xid.set(Some(xid.0));
        }
        Ok(ticket)
    }

    fn decode(context: Context, frame: Bytes) -> Result<C::Reply, zk_proto::Error> {
        C::decode(context, frame)
    }
}

#[cfg(feature = "tracing")]
mod spans {
    use tokio::time::Instant;
    use tracing::{Span, debug, debug_span, field::Empty};

    use super::Error;

    /// The span of one request, from the call to its reply.
    pub(crate) struct Trace {
        span: Span,
        /// When it was called; `None` if no subscriber wants the span.
        start: Option<Instant>,
    }

    impl Trace {
        pub(super) fn new(operation: &'static str, path: &str) -> Self {
            let span = debug_span!("zookeeper request", operation, path, xid = Empty);
            let start = (!span.is_disabled()).then(Instant::now);
            Self { span, start }
        }

        /// The request was queued under this number; none if it was rejected.
        pub(super) fn begin(&self, xid: Option<i32>) {
            if let Some(xid) = xid {
                self.span.record("xid", xid);
            }
        }

        /// The reply is there, or the reason why there is none.
        pub(crate) fn finish(&self, error: Option<&Error>) {
            let Some(start) = self.start else { return };
            let latency_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
            match error {
                None => debug!(parent: &self.span, latency_us, "answered"),
                Some(error) => debug!(parent: &self.span, latency_us, %error, "failed"),
            }
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod spans {
    use super::Error;

    /// Nothing.
    pub(crate) struct Trace;

    impl Trace {
        pub(super) const fn new(_operation: &'static str, _path: &str) -> Self {
            Self
        }

        pub(super) const fn begin(&self, _xid: Option<i32>) {}

        pub(crate) const fn finish(&self, _error: Option<&Error>) {}
    }
}

pub(crate) use spans::Trace;

/// Reports what happens to a session.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "there is nothing to report to"))]
pub(crate) fn session_event(event: &crate::events::SessionEvent) {
    #[cfg(feature = "tracing")]
    tracing::info!(?event, "zookeeper session");
}
