//! The future of a call.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::shared::Shared;
use crate::{
    error::Error,
    mux::{CallId, ReplyResult},
    protocol::{Call, ContextOf, ErrorOf, Protocol},
};

/// A call that was made.
///
/// The reply is decoded here, when the future is polled, and not in the driver, so a large reply delays only its own
/// caller.
///
/// # Cancel safety
///
/// You may drop it at any time. The request still goes out (it was queued when the call was made), its reply is settled
/// and discarded when it comes, and other calls are not affected.
#[must_use = "the request is on its way, but only awaiting it says what became of it"]
pub struct Pending<P: Protocol, R> {
    state: State<P>,
    decode: Decode<P, R>,
}

type Decode<P, R> = fn(ContextOf<P>, Bytes) -> Result<R, ErrorOf<P>>;

enum State<P: Protocol> {
    Rejected(Error<ErrorOf<P>>),
    Waiting { answer: oneshot::Receiver<ReplyResult<P>>, id: CallId, shared: Arc<Shared<P>> },
    Done,
}

impl<P: Protocol, R> Pending<P, R> {
    pub(super) fn waiting<C: Call<Protocol = P, Reply = R>>(
        answer: oneshot::Receiver<ReplyResult<P>>,
        id: CallId,
        shared: Arc<Shared<P>>,
    ) -> Self {
        Self { state: State::Waiting { answer, id, shared }, decode: C::decode }
    }

    pub(super) fn rejected<C: Call<Protocol = P, Reply = R>>(error: Error<ErrorOf<P>>) -> Self {
        Self { state: State::Rejected(error), decode: C::decode }
    }
}

// No field is ever pinned in place.
impl<P: Protocol, R> Unpin for Pending<P, R> {}

impl<P: Protocol, R> Future for Pending<P, R> {
    type Output = Result<R, Error<ErrorOf<P>>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.state {
            State::Waiting { answer, .. } => match ready!(Pin::new(answer).poll(cx)) {
                Ok(result) => result,
                // The driver answers every call, at the latest when it is dropped. It must have panicked over this very
                // reply.
                Err(_) => Err(Error::MaybeExecuted),
            },
            State::Rejected(_) | State::Done => Err(Error::MaybeExecuted),
        };
        let decode = self.decode;
        Poll::Ready(match std::mem::replace(&mut self.state, State::Done) {
            State::Rejected(error) => Err(error),
            State::Done => panic!("a call was polled after its answer"),
            State::Waiting { shared, .. } => result.and_then(|reply| {
                decode(reply.context, reply.frame).map_err(|error| {
                    shared.lock().note_undecodable();
                    Error::Decode(error)
                })
            }),
        })
    }
}

impl<P: Protocol, R> Drop for Pending<P, R> {
    fn drop(&mut self) {
        if let State::Waiting { id, shared, .. } = &self.state {
            let waiter = shared.lock().cancel(*id);
            drop(waiter); // outside the lock
        }
    }
}

impl<P: Protocol, R> fmt::Debug for Pending<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Rejected(_) => "Pending(rejected)",
            State::Waiting { .. } => "Pending(waiting)",
            State::Done => "Pending(done)",
        })
    }
}
