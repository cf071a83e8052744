//! Sessions one after the other: when one has expired, the next one is made.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use tokio::{sync::watch, time::sleep};
use zk_proto::SessionId;

use crate::{
    builder::Builder,
    client::Client,
    connector::{Connector, Tcp},
    ending::{Ending, Report},
    error::{Error, Result},
    events::{SessionEvent, SessionEvents, Subscriber},
    queue::{Pushed, Reader, Writer, queue},
    servers::{self, Servers},
};

/// The number of events that one stream holds.
const MAX_EVENTS: usize = 1 << 12;

/// The pause after the first failed attempt to get a new session. Each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A client that makes a new session when one has expired.
///
/// ```text
///   session 1 ──► Suspended ──► Resumed ──► Suspended ──► Expired(1)
///                                                            │  new attempts, until a server grants a session
///   session 2 ◄── Renewed { old: 1, new: 2 } ◄───────────────┘
///       …     ──► Stopped(Closed | AuthFailed | …)
/// ```
///
/// [`client`](Self::client) and [`ready`](Self::ready) return the [`Client`] of the current session. A client never changes its session:
/// the ephemeral nodes and the watches of an expired session are gone, and requests on its client fail with
/// [`Error::SessionExpired`]. No request is carried over to the next session. Make your ephemeral nodes and watches again after
/// each [`RenewalEvent::Renewed`].
///
/// No session follows one that was closed or [left](Client::detach) through any of its clients, or whose identity was rejected.
///
/// A new session has the settings and the identities of the builder, but not the identities of
/// [`Client::add_auth`]. Clones share the sessions. When the last clone is dropped, no new session is made, and the current one
/// ends with its last client.
///
/// ```no_run
/// # async fn example() -> zk_client::Result<()> {
/// use zk_client::{Acl, Client, CreateMode, RenewalEvent};
///
/// let zk = Client::builder().connect_renewing("zk1:2181,zk2:2181,zk3:2181").await?;
/// let mut events = zk.events();
/// loop {
///     let client = zk.ready().await?;
///     client.create("/members/me", "10.0.0.1:80", CreateMode::Ephemeral, Acl::OPEN).await?;
///     while let Some(event) = events.next().await {
///         if let RenewalEvent::Renewed { old, new } = event {
///             println!("session {old} has expired; this is session {new}");
///             break;
///         }
///     }
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Renewing {
    shared: Arc<Shared>,
    /// Dropped with the last clone, which the task notices.
    stop: Arc<watch::Sender<bool>>,
}

/// What handles and the task share.
struct Shared {
    current: watch::Sender<Current>,
    subscribers: Mutex<Vec<Writer<RenewalEvent>>>,
}

/// The current session.
#[derive(Clone)]
struct Current {
    client: Client,
    /// The reason why no session follows.
    stopped: Option<Ending>,
}

/// An event of a [`Renewing`] client. See there for the order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenewalEvent {
    /// The connection is lost. The session may still exist.
    Suspended,
    /// The connection is back, with the same session and its watches.
    Resumed,
    /// The session is over. Its ephemeral nodes and watches are gone; a new session is being made.
    Expired {
        /// The session.
        session: SessionId,
        /// The reason.
        ending: Ending,
    },
    /// There is a new session: [`Renewing::client`].
    Renewed {
        /// The session that has expired.
        old: SessionId,
        /// The new one.
        new: SessionId,
    },
    /// The last session is over, and no other one follows. Nor does any event.
    Stopped(Ending),
}

/// The events of a [`Renewing`] client from now on; see [`Renewing::events`].
///
/// No event is left out. A stream ends if 4,096 events are waiting in it.
#[derive(Debug)]
pub struct RenewalEvents(Reader<RenewalEvent>);

impl Builder {
    /// Like [`connect`](Self::connect), but when the session has expired, a new one is made: see [`Renewing`].
    ///
    /// # Errors
    ///
    /// See [`connect`](Self::connect), for the first session.
    ///
    /// # Cancel safety
    ///
    /// See [`connect`](Self::connect).
    pub async fn connect_renewing(&self, servers: &str) -> Result<Renewing> {
        let servers = servers::parse(servers)?;
        Renewing::start(self.clone(), Arc::new(Tcp), servers).await
    }

    /// Like [`connect_with`](Self::connect_with), but when the session has expired, a new one is made: see [`Renewing`].
    ///
    /// # Errors
    ///
    /// See [`connect`](Self::connect), for the first session.
    ///
    /// # Cancel safety
    ///
    /// See [`connect`](Self::connect).
    pub async fn connect_renewing_with<C: Connector>(
        &self,
        connector: C,
        servers: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Renewing> {
        let names = servers.into_iter().map(Into::into).collect();
        Renewing::start(self.clone(), Arc::new(connector), Servers { names, chroot: None }).await
    }
}

impl Renewing {
    async fn start<C: Connector>(builder: Builder, connector: Arc<C>, servers: Servers) -> Result<Self> {
        let (subscriber, events) = Subscriber::new();
        let client = builder.open(Arc::clone(&connector), servers.clone(), Some(subscriber)).await?;
        let current = watch::Sender::new(Current { client: client.clone(), stopped: None });
        let shared = Arc::new(Shared { current, subscribers: Mutex::default() });
        let stop = Arc::new(watch::Sender::new(false));
        let task = Task {
            builder: builder.without_resume(),
            connector,
            servers,
            shared: Arc::clone(&shared),
            stop: stop.subscribe(),
        };
        tokio::spawn(task.run(client, events));
        Ok(Self { shared, stop })
    }

    /// The client of the current session; between two sessions, that of the last one.
    #[must_use]
    pub fn client(&self) -> Client {
        self.shared.current.borrow().client.clone()
    }

    /// Waits for a session that is not over, and returns its client. The connection may be suspended.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] or [`Error::AuthFailed`], if no session follows.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn ready(&self) -> impl Future<Output = Result<Client>> + Send + 'static + use<> {
        let mut current = self.shared.current.subscribe();
        async move {
            let usable = |current: &Current| current.stopped.is_some() || !current.client.is_over();
            let current = current.wait_for(usable).await.map_err(|_| Error::Closed)?;
            match &current.stopped {
                None => Ok(current.client.clone()),
                Some(ending) => Err(Error::ended(ending.clone())),
            }
        }
    }

    /// A stream of what happens to the sessions from now on.
    #[must_use]
    pub fn events(&self) -> RenewalEvents {
        let (writer, reader) = queue(MAX_EVENTS);
        // With the lock held, so that the end cannot come in between.
        let mut subscribers = self.shared.subscribers();
        match &self.shared.current.borrow().stopped {
            Some(ending) => drop(writer.push(RenewalEvent::Stopped(ending.clone()))),
            None => subscribers.push(writer),
        }
        RenewalEvents(reader)
    }

    /// Closes the current session, and makes no other one. The report is that of the last session.
    ///
    /// # Cancel safety
    ///
    /// The session ends even if you do not poll the future.
    pub fn close(&self) -> impl Future<Output = Report> + Send + 'static + use<> {
        self.stop.send_replace(true);
        let mut current = self.shared.current.subscribe();
        let last = self.client();
        async move {
            let stopped = current.wait_for(|current| current.stopped.is_some()).await;
            let client = stopped.map_or(last, |current| current.client.clone());
            client.closed().await
        }
    }
}

impl fmt::Debug for Renewing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.shared.current.borrow();
        f.debug_struct("Renewing").field("client", &current.client).field("stopped", &current.stopped).finish()
    }
}

impl RenewalEvents {
    /// The next event; `None` at the end.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<RenewalEvent> {
        std::future::poll_fn(|cx| self.0.poll_next(cx)).await
    }
}

impl Stream for RenewalEvents {
    type Item = RenewalEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<RenewalEvent>> {
        self.0.poll_next(cx)
    }
}

impl Shared {
    /// A panic while the list is locked leaves nothing half done.
    fn subscribers(&self) -> MutexGuard<'_, Vec<Writer<RenewalEvent>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: &RenewalEvent) {
        self.subscribers().retain(|subscriber| subscriber.push(event.clone()) == Pushed::Queued);
    }

    /// No session follows.
    fn stop(&self, ending: Ending) {
        let mut subscribers = self.subscribers();
        self.current.send_modify(|current| current.stopped = Some(ending.clone()));
        for subscriber in subscribers.drain(..) {
            subscriber.push(RenewalEvent::Stopped(ending.clone()));
        }
    }
}

/// Makes the sessions.
struct Task<C> {
    builder: Builder,
    connector: Arc<C>,
    servers: Servers,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
}

impl<C: Connector> Task<C> {
    async fn run(mut self, mut client: Client, mut events: SessionEvents) {
        loop {
            let ending = self.follow(&client, &mut events).await;
            if !matches!(ending, Ending::Expired(_)) {
                return self.shared.stop(ending);
            }
            let old = client.session();
            self.shared.tell(&RenewalEvent::Expired { session: old, ending: ending.clone() });
            let next = tokio::select! {
                biased;
                _ = stopped(&mut self.stop) => return self.shared.stop(ending),
                next = next(&self.builder, &self.connector, &self.servers) => next,
            };
            match next {
                Ok((new, its_events)) => {
                    (client, events) = (new, its_events);
                    self.shared.current.send_modify(|current| current.client = client.clone());
                    self.shared.tell(&RenewalEvent::Renewed { old, new: client.session() });
                }
                Err(ending) => return self.shared.stop(ending),
            }
        }
    }

    /// Passes on what happens to one session, until it is over.
    async fn follow(&mut self, client: &Client, events: &mut SessionEvents) -> Ending {
        loop {
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(SessionEvent::Suspended) => self.shared.tell(&RenewalEvent::Suspended),
                    Some(SessionEvent::Resumed) => self.shared.tell(&RenewalEvent::Resumed),
                    Some(SessionEvent::Ended(ending)) => return ending,
                    // The first event of a session; it is told with the name of the one before.
                    Some(SessionEvent::Connected(_)) => {}
                    None => return client.closed().await.ending,
                },
                is_asked = stopped(&mut self.stop) => {
                    // Without handles the session is left to its other clients.
                    return if is_asked { client.close().await.ending } else { Ending::Detached };
                }
            }
        }
    }
}

/// Waits until a handle asks for the end, or `false` when no handle is left.
async fn stopped(stop: &mut watch::Receiver<bool>) -> bool {
    stop.wait_for(|stop| *stop).await.is_ok()
}

/// The next session, after as many attempts as it takes; or the reason why there can be none.
async fn next<C: Connector>(
    builder: &Builder,
    connector: &Arc<C>,
    servers: &Servers,
) -> std::result::Result<(Client, SessionEvents), Ending> {
    let mut pause = FIRST_PAUSE;
    loop {
        let (subscriber, events) = Subscriber::new();
        match builder.open(Arc::clone(connector), servers.clone(), Some(subscriber)).await {
            Ok(client) => return Ok((client, events)),
            Err(Error::AuthFailed) => return Err(Ending::AuthFailed),
            Err(_not_yet) => sleep(pause).await,
        }
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}
