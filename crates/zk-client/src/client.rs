//! The handle that programs hold.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use packetizer::{Call, Handle};
use tokio::sync::{Notify, watch};
use zk_proto::{
    Acl, Create, CreateMode, Delete, ErrorCode, Exists, GetChildren, GetData, Grant, Names, Node, Session, SessionId,
    SetData, Stat,
};

use crate::{
    error::{Ending, Error, Report, Result},
    options::Options,
    payload::{Payload, Version},
    pending::Pending,
};

/// A session with a ZooKeeper ensemble.
///
/// Clones are cheap and share the session. Requests are queued when a method is called and go out in that order, all that
/// is queued in one write; each method returns a future for the answer, which may be awaited later, elsewhere, or not at
/// all.
///
/// [`close`](Self::close) ends the session and says what became of it. When the last clone is dropped, the session is
/// closed too, as long as the runtime runs; nobody learns how that went.
///
/// When the connection is lost, every request that waits fails with [`Error::ConnectionLost`] and so does every later one:
/// this client does not reconnect. Connect a new one; the old session and its ephemeral nodes last until the server's
/// patience is over.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    handle: Handle<Session>,
    line: Arc<Line>,
    report: watch::Receiver<Option<Report>>,
    grant: Grant,
    server: String,
    max_request: usize,
}

/// What a client, its task and its requests tell each other.
#[derive(Debug, Default)]
pub(crate) struct Line {
    closed: AtomicBool,
    close: Notify,
    ending: OnceLock<Ending>,
}

impl Line {
    /// Asks the task to close the session.
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.close.notify_one();
    }

    /// Waits until the task is asked to close the session.
    pub(crate) async fn closing(&self) {
        self.close.notified().await;
    }

    /// Says how it ended; the task does, once, before it tells the requests that wait.
    pub(crate) fn end(&self, ending: &Ending) {
        self.ending.get_or_init(|| ending.clone());
    }

    pub(crate) fn ending(&self) -> Ending {
        let stopped = || Ending::Lost("the client's task was stopped, with its runtime".into());
        self.ending.get().cloned().unwrap_or_else(stopped)
    }
}

impl Client {
    /// Connects over TCP to the first of `host:port,host:port` that grants a session, with default [`Options`].
    ///
    /// # Errors
    ///
    /// As [`Options::connect`].
    ///
    /// # Cancel safety
    ///
    /// As [`Options::connect`].
    pub async fn connect(servers: &str) -> Result<Self> {
        Options::default().connect(servers).await
    }

    pub(crate) fn new(
        handle: Handle<Session>,
        line: Arc<Line>,
        report: watch::Receiver<Option<Report>>,
        grant: Grant,
        server: String,
        max_request: usize,
    ) -> Self {
        Self { inner: Arc::new(Inner { handle, line, report, grant, server, max_request }) }
    }

    /// Creates a node and gives its path: for sequential modes that is `path` with ten digits appended.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], with `NodeExists`; `NoNode` where the parent is missing; `NoChildrenForEphemerals`; `NoAuth`;
    /// `InvalidAcl` — or whatever keeps the request from being sent or answered.
    pub fn create<'a>(
        &self,
        path: &str,
        data: impl Into<Payload<'a>>,
        mode: CreateMode,
        acl: &[Acl<'_>],
    ) -> Pending<String> {
        let data = data.into();
        let listed: usize = acl.iter().map(|entry| entry.scheme.len() + entry.id.len()).sum();
        let request = Create { path: path.into(), data: data.0, acl: Some(acl.into()), flags: mode.flags() };
        self.request("create", path, data.len() + listed, &request)
    }

    /// Reads a node.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], with `NoNode` or `NoAuth` — or whatever keeps the request from being sent or answered.
    pub fn get(&self, path: &str) -> Pending<Node> {
        self.request("get", path, 0, &GetData { path: path.into(), watch: false })
    }

    /// Writes a node's data.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], with `NoNode`, `BadVersion` or `NoAuth` — or whatever keeps the request from being sent or
    /// answered.
    pub fn set<'a>(&self, path: &str, data: impl Into<Payload<'a>>, version: Version) -> Pending<Stat> {
        let data = data.into();
        let request = SetData { path: path.into(), data: data.0, version: version.on_the_wire() };
        self.request("set", path, data.len(), &request)
    }

    /// Deletes a node that has no children.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], with `NoNode`, `BadVersion`, `NotEmpty` or `NoAuth` — or whatever keeps the request from being
    /// sent or answered.
    pub fn delete(&self, path: &str, version: Version) -> Pending<()> {
        self.request("delete", path, 0, &Delete { path: path.into(), version: version.on_the_wire() })
    }

    /// Asks for a node's history; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], with `NoAuth` by newer servers — or whatever keeps the request from being sent or answered.
    pub fn exists(&self, path: &str) -> Pending<Option<Stat>> {
        self.request("exists", path, 0, &Exists { path: path.into(), watch: false })
    }

    /// Lists the names of a node's children, in no particular order.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], with `NoNode` or `NoAuth` — or whatever keeps the request from being sent or answered.
    pub fn children(&self, path: &str) -> Pending<Names> {
        self.request("children", path, 0, &GetChildren { path: path.into(), watch: false })
    }

    /// Queues a request; `payload` is how many bytes there are in it besides the path.
    fn request<T, C>(&self, operation: &'static str, path: &str, payload: usize, call: &C) -> Pending<T>
    where
        C: Call<Protocol = Session, Reply = std::result::Result<T, ErrorCode>>,
    {
        let Inner { handle, line, max_request: max, .. } = &*self.inner;
        if line.closed.load(Ordering::Acquire) {
            return Pending::refused(Error::Closed);
        }
        // Looked at here so that gigabytes are not copied first to see that they are too many.
        let len = path.len().saturating_add(payload);
        if len > *max {
            return Pending::refused(Error::RequestTooLarge { len, max: *max });
        }
        Pending::queued(handle.call(call), operation, path, Arc::clone(line))
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
        self.inner.line.close();
        self.closed()
    }

    /// Waits for the end of the session, by [`close`](Self::close) or by the loss of the connection, and says what became
    /// of it. Holds no claim on the session: the future does not keep it open. If the runtime was shut down under the
    /// client, there was nothing left to count, and `requests` in the report is empty.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn closed(&self) -> impl Future<Output = Report> + Send + 'static + use<> {
        let mut report = self.inner.report.clone();
        let line = Arc::clone(&self.inner.line);
        let session = self.inner.grant.session;
        async move {
            let told = report.wait_for(Option::is_some).await.ok().and_then(|report| report.clone());
            // No report: the runtime was shut down, and the task with it.
            told.unwrap_or_else(|| Report { session, ending: line.ending(), requests: packetizer::Report::default() })
        }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.inner.grant.session
    }

    /// How long the server waits for a word from us, as granted.
    #[must_use]
    pub fn session_timeout(&self) -> Duration {
        self.inner.grant.timeout
    }

    /// The server that granted the session.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.inner.server
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("session", &self.inner.grant.session)
            .field("server", &self.inner.server)
            .field("handle", &self.inner.handle)
            .finish_non_exhaustive()
    }
}
