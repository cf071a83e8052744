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
    error::{Error, Result},
    link::Link,
    trace::Trace,
};

/// A request that was made. Await it to get the reply.
///
/// The method queued the request when you called it: requests reach the server in the order of the calls, no matter
/// which future you poll first, or whether you poll it. The future borrows nothing, and you can send it to another
/// task.
///
/// Without a [request timeout](crate::Builder::request_timeout), a single request has no time limit: a server that
/// answers pings is alive, and only you know how long a reply may take. You can safely wrap the future in
/// `tokio::time::timeout`.
///
/// # Cancel safety
///
/// You can drop it at any time. The request is still sent; its reply is matched and discarded.
#[must_use = "the request is on its way, but only awaiting it says what became of it"]
pub struct Pending<T> {
    state: State<T>,
}

enum State<T> {
    /// The request was rejected before it was queued.
    Rejected(Option<Error>),
    Queued {
        reply: packetizer::Pending<Session, std::result::Result<T, ErrorCode>>,
        about: About,
        /// Converts the reply to what the caller sees, for example paths relative to its root.
        localize: fn(&mut T, &About),
    },
}

/// The operation and the path of a request.
pub(crate) struct About {
    pub(crate) operation: &'static str,
    pub(crate) path: Box<str>,
    pub(crate) link: Arc<Link>,
    pub(crate) chroot: Option<Arc<str>>,
    pub(crate) trace: Trace,
}

impl<T> Pending<T> {
    pub(crate) const fn rejected(error: Error) -> Self {
        Self { state: State::Rejected(Some(error)) }
    }

    pub(crate) const fn queued(
        reply: packetizer::Pending<Session, std::result::Result<T, ErrorCode>>,
        about: About,
    ) -> Self {
        Self { state: State::Queued { reply, about, localize: |_, _| {} } }
    }

    /// Converts the reply to what the caller sees.
    pub(crate) fn localized(mut self, how: fn(&mut T, &About)) -> Self {
        if let State::Queued { localize, .. } = &mut self.state {
            *localize = how;
        }
        self
    }
}

// Nothing in it is ever pinned.
impl<T> Unpin for Pending<T> {}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        match &mut self.state {
            State::Rejected(error) => {
                Poll::Ready(Err(error.take().expect("the future is not polled after it has completed")))
            }
            State::Queued { reply, about, localize } => {
                let reply = match ready!(Pin::new(reply).poll(cx)) {
                    Ok(Ok(mut reply)) => {
                        localize(&mut reply, about);
                        Ok(reply)
                    }
                    Ok(Err(code)) => Err(about.rejected(code)),
                    Err(error) => Err(about.failed(error)),
                };
                about.trace.finish(reply.as_ref().err());
                Poll::Ready(reply)
            }
        }
    }
}

impl About {
    /// A path as the caller sees it.
    pub(crate) fn localize<'a>(&self, path: &'a str) -> &'a str {
        zk_proto::path::strip(self.chroot.as_deref(), path)
    }

    /// Whether the request needs the chroot itself: it is about the chroot, or about a new child of it.
    fn is_about_chroot(&self) -> bool {
        let parent =
            if self.operation.starts_with("create") { self.path.rfind('/') == Some(0) } else { *self.path == *"/" };
        self.chroot.is_some() && parent
    }

    /// Converts the server's error code.
    fn rejected(&self, code: ErrorCode) -> Error {
        match code {
            ErrorCode::NoNode if self.is_about_chroot() => {
                Error::ChrootMissing { path: self.chroot.as_deref().unwrap_or_default().into() }
            }
            ErrorCode::Unimplemented => {
                self.link.note_unsupported(self.operation);
                Error::Unsupported { operation: self.operation }
            }
            ErrorCode::SessionExpired => Error::SessionExpired(zk_proto::session::Expiry::Server),
            code => Error::Rejected { operation: self.operation, path: self.path.clone(), code },
        }
    }

    /// Converts an error of the multiplexer.
    fn failed(&self, error: packetizer::Error<zk_proto::Error>) -> Error {
        use packetizer::Error as Mux;
        let Self { operation, path, link, .. } = self;
        let lost = |maybe_executed| Error::ConnectionLost { maybe_executed, why: link.loss() };
        match error {
            Mux::MaybeExecuted => lost(true),
            Mux::NeverSent => link.ending().map_or_else(|| lost(false), |ending| Error::ended(ending.clone())),
            Mux::Finished => Error::Closed,
            Mux::TimedOut { maybe_executed } => Error::TimedOut { maybe_executed },
            Mux::OutboxFull { queued, max, .. } => Error::OutboxFull { queued, max },
            Mux::TooManyCalls { max } => Error::TooManyRequests { max },
            Mux::TooLarge { len, max } => Error::RequestTooLarge { len, max },
            Mux::ReplyTooLarge { len, max } => Error::ReplyTooLarge { operation, path: path.clone(), len, max },
            Mux::Encode(source) => Error::Invalid(source),
            Mux::Decode(source) => Error::Malformed { operation, path: path.clone(), source },
            other => Error::ConnectionLost { maybe_executed: other.maybe_executed(), why: other.to_string().into() },
        }
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Rejected(error) => f.debug_tuple("Pending").field(error).finish(),
            State::Queued { about, .. } => write!(f, "Pending({} {:?})", about.operation, about.path),
        }
    }
}
