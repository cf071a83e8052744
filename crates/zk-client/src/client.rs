//! The handle that programs hold.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use packetizer::{Call, Handle, Options};
use tokio::{sync::watch, time::Instant};
use zk_proto::{ErrorCode, Resume, Session, SessionId, session::AddAuth};

use crate::{
    ending::{Ending, Report},
    error::{Error, Result},
    events::{SessionEvents, Subscriber},
    link::Link,
    pending::{About, Pending},
    settings::Settings,
    trace::Traced,
};

mod config;
mod nodes;
mod several;
mod watching;

pub use config::Reconfiguration;
pub use nodes::AclVersion;
pub use several::{Read, ReadReply};

/// A session with a ZooKeeper ensemble.
///
/// Clones are cheap and share the session. A method queues its request when you call it. Requests go out in the order
/// of the calls, everything that is queued in one write. Each method returns a future for the reply; you can await it
/// later, in another task, or not at all.
///
/// When the connection is lost, the client connects again, resumes the session, authenticates again and restores its
/// watches. Requests that were sent but not answered fail with [`Error::ConnectionLost`], which says that they may have
/// been executed; the client never sends them again. Requests that were not sent wait, unless the client [fails
/// fast](crate::Builder::fail_fast).
///
/// A client is one session. It ends when the session has [expired](Ending::Expired), an authentication
/// [failed](Ending::AuthFailed), or you [close](Self::close) it, which returns a report. Dropping the last clone and
/// the last watch closes the session, too, as long as the runtime runs.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    pub(crate) chroot: Option<Arc<str>>,
}

pub(crate) struct Inner {
    pub(crate) handle: Handle<Session>,
    pub(crate) link: Arc<Link>,
    report: watch::Receiver<Option<Report>>,
    session: SessionId,
    max_request: usize,
    max_events: usize,
    request_timeout: Option<Duration>,
    fail_fast: bool,
}

impl Client {
    pub(crate) fn new(
        handle: Handle<Session>,
        link: Arc<Link>,
        report: watch::Receiver<Option<Report>>,
        session: SessionId,
        settings: &Settings,
        chroot: Option<Arc<str>>,
    ) -> Self {
        let inner = Inner {
            handle,
            link,
            report,
            session,
            max_request: settings.max_request,
            max_events: settings.max_events,
            request_timeout: settings.request_timeout,
            fail_fast: settings.fail_fast,
        };
        Self { inner: Arc::new(inner), chroot }
    }

    /// Returns a client of the same session whose root is `path`. The paths that you pass to it, and those that it
    /// returns, are relative to that node. It does not create the node.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if no server would accept the path.
    pub fn chroot(&self, path: &str) -> Result<Self> {
        zk_proto::path::validate(path).map_err(Error::Invalid)?;
        let chroot = match &*self.path(path) {
            "/" => None,
            path => Some(path.into()),
        };
        Ok(Self { inner: Arc::clone(&self.inner), chroot })
    }

    /// The path on the server.
    pub(crate) fn path<'a>(&self, path: &'a str) -> std::borrow::Cow<'a, str> {
        zk_proto::path::join(self.chroot.as_deref(), path)
    }

    /// Whether the session is over.
    pub(crate) fn is_over(&self) -> bool {
        self.inner.link.ending().is_some()
    }

    /// Whether a read that was lost with its connection can be repeated: it waits for the next connection.
    pub(crate) fn can_reconnect(&self) -> bool {
        !self.inner.fail_fast && self.inner.link.ending().is_none()
    }

    /// Queues a request about a path as the caller sees it. `payload` is the number of other bytes in the request.
    pub(crate) fn request<T, C>(&self, operation: &'static str, path: &str, payload: usize, call: &C) -> Pending<T>
    where
        C: Call<Protocol = Session, Reply = std::result::Result<T, ErrorCode>>,
    {
        let Inner { handle, link, max_request: max, .. } = &*self.inner;
        if link.is_closing() {
            return Pending::rejected(Error::Closed);
        }
        if self.inner.fail_fast && !link.is_live() && link.ending().is_none() {
            return Pending::rejected(Error::ConnectionLost { maybe_executed: false, why: link.trouble() });
        }
        if link.is_unsupported(operation) {
            return Pending::rejected(Error::Unsupported { operation });
        }
        // Checked here, so that we do not copy gigabytes only to find that they are too many.
        let len = path.len().saturating_add(payload);
        if len > *max {
            return Pending::rejected(Error::RequestTooLarge { len, max: *max });
        }
        let deadline = self.inner.request_timeout.and_then(|timeout| Instant::now().into_std().checked_add(timeout));
        let options = deadline.map_or_else(Options::new, |deadline| Options::new().with_deadline(deadline));
        let traced = Traced::new(call, operation, path);
        let reply = handle.call_with(&traced, options);
        let (path, link, chroot) = (path.into(), Arc::clone(link), self.chroot.clone());
        let about = About { operation, path, link, chroot, trace: traced.into_trace() };
        Pending::queued(reply, about)
    }

    /// Adds an identity to the session: `digest` with `user:password`, or any scheme that the server has a plug-in for.
    /// Requests made after this call have it, on this connection and on every later one. The future resolves when a
    /// server has accepted it, if necessary after reconnecting.
    ///
    /// # Errors
    ///
    /// [`Error::AuthFailed`], after which the session is over for this client; or the reason why the session ended
    /// otherwise.
    ///
    /// # Cancel safety
    ///
    /// The identity is added even if you do not poll the future.
    pub fn add_auth(&self, scheme: &str, proof: &[u8]) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        let Inner { handle, link, .. } = &*self.inner;
        let (id, taken) = link.add_auth();
        let auth = AddAuth { id, scheme, secret: proof };
        // The session reports whether the server accepted it. If it cannot be sent now, the next connection sends it.
        drop(handle.call_with(&auth, Options::new().beyond_limits()));
        handle.with_protocol_mut(|session| session.add_auth(&auth));
        let link = Arc::clone(link);
        async move { taken.await.map_err(|_| Error::ended(link.final_ending())) }
    }

    /// A stream of the session's events from now on.
    #[must_use]
    pub fn events(&self) -> SessionEvents {
        let (subscriber, events) = Subscriber::new();
        self.inner.link.subscribe(subscriber);
        events
    }

    /// Ends the session. Requests made before this call are answered first; then the server removes the session and its
    /// ephemeral nodes. Requests made after this call, on any clone, fail with [`Error::Closed`].
    ///
    /// This cannot fail: [`Report::ending`] says whether the server confirmed the close. It waits for the confirmation
    /// no longer than the session timeout, after which a server that did not hear of it ends the session by itself.
    ///
    /// # Cancel safety
    ///
    /// The session ends even if you do not poll the future; you lose only the report.
    pub fn close(&self) -> impl Future<Output = Report> + Send + 'static + use<> {
        self.inner.link.close();
        self.closed()
    }

    /// Leaves the session as it is, including its ephemeral nodes, so that another client, possibly in another process,
    /// can [resume it](crate::Builder::resume) within its timeout. Unanswered requests fail.
    ///
    /// # Errors
    ///
    /// The reason why the session had ended before.
    ///
    /// # Cancel safety
    ///
    /// The client stops even if you do not poll the future; you lose only the session's password.
    pub fn detach(&self) -> impl Future<Output = Result<Resume>> + Send + 'static + use<> {
        self.inner.link.detach();
        let closed = self.closed();
        let handle = self.inner.handle.clone();
        async move {
            match closed.await.ending {
                Ending::Detached => handle.with_protocol(Session::resumable).ok_or(Error::Closed),
                other => Err(Error::ended(other)),
            }
        }
    }

    /// Waits for the end of the session, and returns its report. The future does not keep the session open. If the
    /// runtime was shut down while the client ran, nothing was left to count, and `requests` in the report is empty.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn closed(&self) -> impl Future<Output = Report> + Send + 'static + use<> {
        let mut report = self.inner.report.clone();
        let link = Arc::clone(&self.inner.link);
        let session = self.inner.session;
        async move {
            let told = report.wait_for(Option::is_some).await.ok().and_then(|report| report.clone());
            // Without a report: the runtime was shut down, and the task with it.
            told.unwrap_or_else(|| Report {
                session,
                ending: link.final_ending(),
                requests: packetizer::Report::default(),
            })
        }
    }

    /// The session's id.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.inner.session
    }

    /// How long the server waits without hearing from us, as granted last.
    #[must_use]
    pub fn session_timeout(&self) -> Duration {
        self.inner.link.status().timeout
    }

    /// The server of the current connection, or of the last one.
    #[must_use]
    pub fn server(&self) -> String {
        self.inner.link.status().server.to_string()
    }

    /// Whether this is the session of a [read-only](crate::Builder::read_only) server.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.inner.handle.with_protocol(|session| session.grant().is_some_and(|grant| grant.read_only))
    }

    /// Whether the server answers requests now. The answer may be out of date when you get it.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.inner.link.is_live()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("session", &self.inner.session)
            .field("status", &self.inner.link.status())
            .field("chroot", &self.chroot)
            .field("handle", &self.inner.handle)
            .finish_non_exhaustive()
    }
}
