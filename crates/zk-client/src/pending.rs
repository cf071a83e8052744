//! A request that was made.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use zk_proto::{ErrorCode, Session};

use crate::{
    client::Line,
    error::{Ending, Error, Result},
};

/// A request that was made; await it for the answer.
///
/// The request was queued when the method was called: requests reach the server in the order of the calls, whichever
/// future is polled first, or at all. The future borrows nothing and may be sent to another task.
///
/// There is no time limit for a single request: a server that answers pings is alive, and how long an answer may take is for
/// the caller to know. `tokio::time::timeout` around it does no harm.
///
/// # Cancel safety
///
/// May be dropped at any time. The request is sent all the same; its answer is recognised and thrown away.
#[must_use = "the request is on its way, but only awaiting it says what became of it"]
pub struct Pending<T> {
    state: State<T>,
}

enum State<T> {
    /// Refused before it was queued.
    Refused(Option<Error>),
    Queued {
        answer: packetizer::Pending<Session, std::result::Result<T, ErrorCode>>,
        operation: &'static str,
        path: Box<str>,
        line: Arc<Line>,
    },
}

impl<T> Pending<T> {
    pub(crate) const fn refused(error: Error) -> Self {
        Self { state: State::Refused(Some(error)) }
    }

    pub(crate) fn queued(
        answer: packetizer::Pending<Session, std::result::Result<T, ErrorCode>>,
        operation: &'static str,
        path: &str,
        line: Arc<Line>,
    ) -> Self {
        Self { state: State::Queued { answer, operation, path: path.into(), line } }
    }
}

// Nothing in it is ever pinned in place.
impl<T> Unpin for Pending<T> {}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        match &mut self.state {
            State::Refused(error) => Poll::Ready(Err(error.take().expect("a request is not polled after its answer"))),
            State::Queued { answer, operation, path, line } => {
                let answer = ready!(Pin::new(answer).poll(cx));
                Poll::Ready(match answer {
                    Ok(Ok(reply)) => Ok(reply),
                    Ok(Err(ErrorCode::SessionExpired)) => Err(Error::SessionExpired),
                    Ok(Err(code)) => Err(Error::Refused { operation, path: path.clone(), code }),
                    Err(error) => Err(failed(error, operation, path, line)),
                })
            }
        }
    }
}

/// What the multiplexer says, in the words of this crate.
fn failed(error: packetizer::Error<zk_proto::Error>, operation: &'static str, path: &str, line: &Line) -> Error {
    use packetizer::Error as Mux;
    match error {
        Mux::NeverSent | Mux::MaybeExecuted => match line.ending() {
            Ending::Lost(why) => Error::ConnectionLost { maybe_executed: error.maybe_executed(), why },
            Ending::Closed => Error::Closed,
        },
        Mux::Finished => Error::Closed,
        Mux::OutboxFull { queued, max, .. } => Error::OutboxFull { queued, max },
        Mux::TooManyCalls { max } => Error::TooManyRequests { max },
        Mux::TooLarge { len, max } => Error::RequestTooLarge { len, max },
        Mux::ReplyTooLarge { len, max } => Error::ReplyTooLarge { operation, path: path.into(), len, max },
        Mux::Encode(source) => Error::Invalid(source),
        Mux::Decode(source) => Error::Malformed { operation, path: path.into(), source },
        other => Error::ConnectionLost { maybe_executed: other.maybe_executed(), why: other.to_string().into() },
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Refused(error) => f.debug_tuple("Pending").field(error).finish(),
            State::Queued { operation, path, .. } => write!(f, "Pending({operation} {path:?})"),
        }
    }
}
