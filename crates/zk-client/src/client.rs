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
};

mod nodes;
mod several;
mod watching;

pub use nodes::AclVersion;
pub use several::{Read, ReadReply};

/// A session with a ZooKeeper ensemble.
///
/// Clones are cheap and share the session. Requests are queued when a method is called and go out in that order, all that
/// is queued in one write; each method returns a future for the reply, which may be awaited later, elsewhere, or not at
/// all.
///
/// When the connection is lost, the client looks for another one, resumes the session, proves its identities and sets its
/// watches again. Requests that were sent and not answered fail with [`Error::ConnectionLost`], which says that they may have been
/// executed; they are never sent again. Requests that were not sent wait, unless the client
/// [fails fast](crate::Builder::fail_fast).
///
/// A client is one session. It ends when the session has [expired](Ending::Expired), an authentication
/// [failed](Ending::AuthFailed), or it is [closed](Self::close). [`close`](Self::close) says what became of it. When the last
/// clone and the last watch are dropped, the session is closed too, as long as the runtime runs.
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

    /// A client of the same session for which `path` is the root. Paths it is given, and paths that it gives, are relative to
    /// it. The node is not created.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], if no server would take the path.
    pub fn chroot(&self, path: &str) -> Result<Self> {
        zk_proto::path::validate(path).map_err(Error::Invalid)?;
        let chroot = match &*self.path(path) {
            "/" => None,
            path => Some(path.into()),
        };
        Ok(Self { inner: Arc::clone(&self.inner), chroot })
    }

    /// A path as the server has it.
    pub(crate) fn path<'a>(&self, path: &'a str) -> std::borrow::Cow<'a, str> {
        zk_proto::path::join(self.chroot.as_deref(), path)
    }

    /// Whether a read that was lost with its connection can be made again: it waits for the next connection.
    pub(crate) fn can_reconnect(&self) -> bool {
        !self.inner.fail_fast && self.inner.link.ending().is_none()
    }

    /// Queues a request about a path as the caller has it; `payload` is how many bytes there are in it besides the path.
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
        // Looked at here so that gigabytes are not copied first to see that they are too many.
        let len = path.len().saturating_add(payload);
        if len > *max {
            return Pending::rejected(Error::RequestTooLarge { len, max: *max });
        }
        let deadline = self.inner.request_timeout.and_then(|timeout| Instant::now().into_std().checked_add(timeout));
        let options = deadline.map_or_else(Options::new, |deadline| Options::new().with_deadline(deadline));
        let about = About { operation, path: path.into(), link: Arc::clone(link), chroot: self.chroot.clone() };
        Pending::queued(handle.call_with(call, options), about)
    }

    /// Adds an identity to the session: `digest` with `user:password`, or what the server has a plug-in for. Requests made after
    /// this call have it, on this connection and on every later one. The future resolves when a server has taken it, after a
    /// reconnect if need be.
    ///
    /// # Errors
    ///
    /// [`Error::AuthFailed`], and the session is over for this client; or why it ended otherwise.
    ///
    /// # Cancel safety
    ///
    /// The identity is added whether the future is polled or not.
    pub fn add_auth(&self, scheme: &str, proof: &[u8]) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        let Inner { handle, link, .. } = &*self.inner;
        let (id, taken) = link.add_auth();
        let auth = AddAuth { id, scheme, secret: proof };
        // The session tells whether it was taken. A request that cannot be sent now is remembered for the next connection.
        drop(handle.call_with(&auth, Options::new().beyond_limits()));
        handle.with_protocol_mut(|session| session.add_auth(&auth));
        let link = Arc::clone(link);
        async move { taken.await.map_err(|_| Error::ended(link.final_ending())) }
    }

    /// What happens to the session from now on.
    #[must_use]
    pub fn events(&self) -> SessionEvents {
        let (subscriber, events) = Subscriber::new();
        self.inner.link.subscribe(subscriber);
        events
    }

    /// Ends the session: requests made before are answered first, then the server forgets the session and its ephemeral
    /// nodes. Requests made after this call, on any clone, fail with [`Error::Closed`].
    ///
    /// It does not fail: [`Report::ending`] says whether the server confirmed it. That is waited for as long as the session
    /// timeout at most: by then a server that heard nothing ends the session by itself.
    ///
    /// # Cancel safety
    ///
    /// The session ends whether the future is polled or not; only the report is lost.
    pub fn close(&self) -> impl Future<Output = Report> + Send + 'static + use<> {
        self.inner.link.close();
        self.closed()
    }

    /// Leaves the session as it is, ephemeral nodes included, so that another client, of another process perhaps, can
    /// [go on with it](crate::Builder::resume) within its timeout. Requests that were not answered fail.
    ///
    /// # Errors
    ///
    /// Why the session ended before.
    ///
    /// # Cancel safety
    ///
    /// The client is over whether the future is polled or not; only the session's password is lost.
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

    /// Waits for the end of the session, and says what became of it. The future does not keep the session open. If the runtime
    /// was shut down under the client, there was nothing left to count, and `requests` in the report is empty.
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
            // No report: the runtime was shut down, and the task with it.
            told.unwrap_or_else(|| Report {
                session,
                ending: link.final_ending(),
                requests: packetizer::Report::default(),
            })
        }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.inner.session
    }

    /// How long the server waits for a word from us, as granted last.
    #[must_use]
    pub fn session_timeout(&self) -> Duration {
        self.inner.link.status().timeout
    }

    /// The server of the present connection, or of the last one.
    #[must_use]
    pub fn server(&self) -> String {
        self.inner.link.status().server.to_string()
    }

    /// Whether requests are answered at present. By the time it is known, it may have changed.
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
