//! How a funnel is set up.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use frame_codec::Framing;
use futures_core::Stream;
use tokio::{sync::mpsc, task::JoinSet};
use uds_actor::{Admit, Bind};

use crate::{
    Endpoint, Error, Funnel, Limits, Membership, Place, Report, accept,
    admission::Admission,
    connections::Connections,
    members::{self, Policy},
    message::Current,
    site::Site,
    stop::Stop,
};

/// Connections and events that wait for the funnel to be polled.
const ARRIVALS: usize = 64;

/// Where producers come from, how their messages are framed, and how much the funnel holds.
#[must_use = "a funnel receives nothing until it is started"]
pub struct Builder<F> {
    framing: F,
    limits: Limits,
    policy: Policy,
    listeners: Vec<Bind>,
    rebind: bool,
    #[cfg(feature = "dir")]
    directories: Vec<crate::directory::Directory>,
    members: Vec<Members>,
}

type Members = Pin<Box<dyn Stream<Item = Membership<Endpoint>> + Send>>;

impl Funnel {
    /// A funnel for messages framed like this.
    pub fn builder<F: Framing + Clone + Send + Sync + 'static>(framing: F) -> Builder<F> {
        Builder {
            framing,
            limits: Limits::default(),
            policy: Policy { admit: Admit::own(), reconnect: false },
            listeners: Vec::new(),
            rebind: false,
            #[cfg(feature = "dir")]
            directories: Vec::new(),
            members: Vec::new(),
        }
    }
}

impl<F: Framing + Clone + Send + Sync + 'static> Builder<F> {
    /// Accepts producers here, on every socket that was passed under this name if it is the service manager's. `bind` says
    /// which peers are admitted.
    pub fn listen(mut self, bind: Bind) -> Self {
        self.listeners.push(bind);
        self
    }

    /// Whether a listener whose name was [lost](crate::Event::NameLost) takes it again: at once, and then once a second while
    /// another live server has it. Off unless set.
    pub fn rebind(mut self, rebind: bool) -> Self {
        self.rebind = rebind;
        self
    }

    /// Connects to every socket that appears in this directory, now and later, and ends the connection to each that
    /// vanishes. The kernel's table says which sockets are there: nothing but the funnel's one connection reaches a producer.
    /// Sockets that this funnel listens on may be among them, and are not connected to.
    #[cfg(feature = "dir")]
    pub fn directory(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.directories.push(crate::directory::Directory { path: path.into() });
        self
    }

    /// Connects to every endpoint that joins, and ends the connection to each that leaves.
    pub fn members(mut self, members: impl Stream<Item = Membership<Endpoint>> + Send + 'static) -> Self {
        self.members.push(Box::pin(members));
        self
    }

    /// The users that sockets may belong to, in directories and among members, if they are to be connected to;
    /// [`Admit::own`] unless set.
    pub fn admit(mut self, admit: Admit) -> Self {
        self.policy.admit = admit;
        self
    }

    /// Whether to connect again, in directories and among members, when a connection has ended and its socket is still
    /// there: after a pause of 5 ms at first and 1 s at last. Each connection is a producer of its own. Off unless set,
    /// because a server that sends a file to every client would send it over and over.
    pub fn reconnect(mut self, reconnect: bool) -> Self {
        self.policy.reconnect = reconnect;
        self
    }

    /// The bounds, unless the defaults suit.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Binds every listener, watches every directory, and begins.
    ///
    /// # Errors
    ///
    /// [`Error::NoSource`], or what keeps the first listener or directory from being had; then nothing is left behind.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time enabled.
    pub async fn start(self) -> Result<Funnel, Error> {
        let stop = Stop::default();
        let (arrivals, received) = mpsc::channel(ARRIVALS);
        let admission = Admission::new(&self.limits);
        let last_id = Arc::new(AtomicU64::new(0));
        let site = || Site {
            framing: self.framing.clone(),
            limits: self.limits,
            admission: Arc::clone(&admission),
            stop: stop.clone(),
            arrivals: arrivals.clone(),
            last_id: Arc::clone(&last_id),
        };
        let listeners = self.listeners.into_iter().map(Bind::listen_all).collect::<Result<Vec<_>, _>>();
        let listeners = listeners.map_err(Error::Socket)?.into_iter().flatten().collect::<Vec<_>>();
        #[cfg(feature = "dir")]
        let watched = {
            let mut watched = Vec::new();
            for directory in self.directories {
                let watcher = fs_watch::Watcher::start(&directory.path).await.map_err(Error::Watch)?;
                let own = directory.names_of(&listeners);
                watched.push((Place::Directory(directory.path), crate::directory::members(watcher, own)));
            }
            watched
        };
        #[cfg(not(feature = "dir"))]
        let watched: Vec<(Place, Members)> = Vec::new();
        if listeners.is_empty() && self.members.is_empty() && watched.is_empty() {
            return Err(Error::NoSource);
        }
        let listening = listeners.iter().map(|listener| listener.address().clone()).collect();
        let mut sources = JoinSet::new();
        for listener in listeners {
            sources.spawn(accept::run(listener, self.rebind, site()));
        }
        for members in self.members {
            sources.spawn(members::run(members, Place::Members, self.policy.clone(), site()));
        }
        for (place, members) in watched {
            sources.spawn(members::run(members, place, self.policy.clone(), site()));
        }
        Ok(Funnel {
            listening,
            arrivals: Some(received),
            connections: Connections::new(),
            current: Current::default(),
            told_arrival: false,
            sources,
            admission: Arc::clone(&admission),
            stopping: Some(Box::pin(stop.asked_owned())),
            _guard: stop.guard(),
            stop,
            report: Report::default(),
            started: Instant::now(),
        })
    }
}

impl<F: fmt::Debug> fmt::Debug for Builder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("framing", &self.framing)
            .field("limits", &self.limits)
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}
