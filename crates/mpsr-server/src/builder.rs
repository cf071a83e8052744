//! How a funnel is set up.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use frame_codec::Framing;
use tokio::{sync::mpsc, task::JoinSet};
use uds_actor::Bind;
#[cfg(feature = "dir")]
use {
    crate::{
        Endpoint, Membership, Place,
        directory::{self, Directory},
        members::{self, Policy},
    },
    futures_core::Stream,
    std::pin::Pin,
    uds_actor::Admit,
};

use crate::{
    Error, Funnel, Limits, Report, accept, admission::Admission, connections::Connections, message::Current,
    site::Site, stop::Stop,
};

/// How many connections and events may wait for the funnel to be polled.
const ARRIVALS: usize = 64;

/// The settings of a funnel: where producers come from, how messages are framed, and how much the funnel may hold.
#[must_use = "a funnel receives nothing until it is started"]
pub struct Builder<F> {
    framing: F,
    limits: Limits,
    listeners: Vec<Bind>,
    rebind: bool,
    #[cfg(feature = "dir")]
    policy: Policy,
    #[cfg(feature = "dir")]
    directories: Vec<Directory>,
    #[cfg(feature = "dir")]
    members: Vec<Members>,
}

#[cfg(feature = "dir")]
type Members = Pin<Box<dyn Stream<Item = Membership<Endpoint>> + Send>>;

impl Funnel {
    /// Creates a builder for messages with this framing.
    pub fn builder<F: Framing + Clone + Send + Sync + 'static>(framing: F) -> Builder<F> {
        Builder {
            framing,
            limits: Limits::default(),
            listeners: Vec::new(),
            rebind: false,
            #[cfg(feature = "dir")]
            policy: Policy { admit: Admit::own(), reconnect: false },
            #[cfg(feature = "dir")]
            directories: Vec::new(),
            #[cfg(feature = "dir")]
            members: Vec::new(),
        }
    }
}

impl<F: Framing + Clone + Send + Sync + 'static> Builder<F> {
    /// Accepts producers on this address. If it names sockets of the service manager, accepts on every socket that was
    /// passed under that name. `bind` decides which peers are admitted.
    pub fn listen(mut self, bind: Bind) -> Self {
        self.listeners.push(bind);
        self
    }

    /// Whether a listener whose name was [lost](crate::Event::NameLost) binds it again: immediately, and then once a
    /// second as long as another live server has it. Off by default.
    pub fn rebind(mut self, rebind: bool) -> Self {
        self.rebind = rebind;
        self
    }

    /// Connects to every socket in this directory, now and as they appear, and ends the connection to each socket that
    /// vanishes. The kernel's table shows which sockets exist, so a producer sees only the funnel's one connection. The
    /// funnel does not connect to sockets on which it listens itself.
    #[cfg(feature = "dir")]
    pub fn directory(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.directories.push(Directory { path: path.into() });
        self
    }

    /// Connects to every endpoint that joins. Ends the connection to an endpoint when it leaves, or when an endpoint
    /// with another generation joins at the same address.
    #[cfg(feature = "dir")]
    pub fn members(mut self, members: impl Stream<Item = Membership<Endpoint>> + Send + 'static) -> Self {
        self.members.push(Box::pin(members));
        self
    }

    /// Which users the funnel connects to, in directories and among members; [`Admit::own`] by default.
    #[cfg(feature = "dir")]
    pub fn admit(mut self, admit: Admit) -> Self {
        self.policy.admit = admit;
        self
    }

    /// Whether to connect again, in directories and among members, when a connection has ended and its socket is still
    /// there. The pause is 5 ms at first. It doubles with each attempt that fails and each connection that lasts less
    /// than a second, up to 1 s. Each connection is a separate producer. Off by default, because a server that sends a
    /// file to every client would send it repeatedly.
    #[cfg(feature = "dir")]
    pub fn reconnect(mut self, reconnect: bool) -> Self {
        self.policy.reconnect = reconnect;
        self
    }

    /// Sets the limits, if the defaults do not suit.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Binds every listener, watches every directory, and starts the funnel.
    ///
    /// # Errors
    ///
    /// [`Error::NoSource`], or the reason why a listener could not be bound or a directory could not be watched. After
    /// an error, nothing is left behind.
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
        let listeners = listeners.map_err(Error::Bind)?.into_iter().flatten().collect::<Vec<_>>();
        #[cfg(feature = "dir")]
        let watched = {
            let mut watched = Vec::new();
            for directory in self.directories {
                let watcher = fs_watch::Watcher::start(&directory.path).await.map_err(Error::Watch)?;
                let own = directory.names_of(&listeners);
                watched.push((Place::Directory(directory.path), directory::members(watcher, own)));
            }
            watched
        };
        let has_listener = !listeners.is_empty();
        #[cfg(feature = "dir")]
        let has_source = has_listener || !self.members.is_empty() || !watched.is_empty();
        #[cfg(not(feature = "dir"))]
        let has_source = has_listener;
        if !has_source {
            return Err(Error::NoSource);
        }
        let listening = listeners.iter().map(|listener| listener.address().clone()).collect();
        let mut sources = JoinSet::new();
        for listener in listeners {
            sources.spawn(accept::run(listener, self.rebind, site()));
        }
        #[cfg(feature = "dir")]
        {
            for members in self.members {
                sources.spawn(members::run(members, Place::Members, self.policy.clone(), site()));
            }
            for (place, members) in watched {
                sources.spawn(members::run(members, place, self.policy.clone(), site()));
            }
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
