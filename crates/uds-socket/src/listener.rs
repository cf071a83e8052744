//! A listening socket with its name: accepting connections, watching the name, and draining the queue at the end.

mod name_watch;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use self::name_watch::NameWatch;
use crate::accept::{AcceptStats, Acceptable, Accepted, Queue};
use crate::address::{Address, SocketKind};
use crate::bind::publish::{NameLock, NameLoss, Published, Withdrawal};
use crate::bind::{Bind, Taken, activation};
use crate::error::{AcceptError, BindError};
use crate::packet::Seqpacket;
use crate::peer::Peer;
use crate::runtime::in_runtime;
use crate::sys;
use crate::warning::Warning;

impl Acceptable for UnixStream {
    const KIND: SocketKind = SocketKind::Stream;

    fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        Self::from_std(socket.into())
    }
}

/// With feature `tokio`: listening in a runtime.
impl Bind {
    /// Binds the address and listens on it.
    ///
    /// This is not async, because it makes a dozen short calls on a local filesystem, and because it must not stop
    /// halfway like a dropped future. It waits for no other process, with two exceptions: it tries a lock that is held
    /// again for 10 ms, and one that a sweep of the directory examines for 100 ms.
    ///
    /// # Errors
    /// For a path: [`BindError::Address`], [`BindError::NoDirectory`], [`BindError::Denied`], [`BindError::SharedDirectory`],
    /// [`BindError::NotASocket`], [`BindError::Locked`], [`BindError::ForeignLock`], [`BindError::InUse`],
    /// [`BindError::ForeignFilesystem`], [`BindError::MountPoint`], [`BindError::Contended`], [`BindError::Examine`]. For an
    /// abstract name: [`BindError::Address`], and [`BindError::Bind`] with `EADDRINUSE` if it is taken. For a socket of the
    /// service manager: [`BindError::NotPassed`], [`BindError::PassedTwice`], [`BindError::NotAListener`]. For all:
    /// [`BindError::NoFile`] if a mode, owner or group is set and the address is not a path; [`BindError::NoRuntime`]
    /// outside a tokio runtime; [`BindError::Bind`] if a system call fails. After an error, nothing is left behind.
    ///
    /// # Panics
    /// In a tokio runtime built without I/O.
    pub fn listen(self) -> Result<Listener, BindError> {
        self.listen_for::<UnixStream>()
    }

    /// Binds the address and listens on all sockets that were passed under its name: a `.socket` unit with two
    /// `ListenStream=` lines passes two with the same name. For any other address, there is one listener.
    ///
    /// # Errors
    /// The same as for [`listen`](Self::listen), except for [`BindError::PassedTwice`]. After an error, none of them
    /// listens.
    ///
    /// # Panics
    /// See [`listen`](Self::listen).
    pub fn listen_all(self) -> Result<Vec<Listener>, BindError> {
        let Address::Systemd(name) = self.address() else { return Ok(vec![self.listen()?]) };
        in_runtime()?;
        self.check()?;
        let sockets = activation::take_all(name, SocketKind::Stream)?;
        let adopt = |socket| self.clone().adopt(SocketKind::Stream, socket, Listener::<UnixStream>::watch);
        sockets.into_iter().map(|socket| adopt(socket).map(Listener::new)).collect()
    }

    /// Listens for connections that carry separate packets: `SOCK_SEQPACKET`, in a unit file `ListenSequentialPacket=`.
    ///
    /// # Errors
    /// See [`listen`](Self::listen).
    ///
    /// # Panics
    /// See [`listen`](Self::listen).
    pub fn listen_seqpacket(self) -> Result<SeqpacketListener, BindError> {
        self.listen_for()
    }

    fn listen_for<S: Acceptable>(self) -> Result<Listener<S>, BindError> {
        in_runtime()?;
        self.take(S::KIND, Listener::<S>::watch).map(Listener::new)
    }
}

/// A listener for connections that carry separate packets.
pub type SeqpacketListener = Listener<Seqpacket>;

/// A listening socket and its name.
///
/// [`Bind::listen`](crate::Bind::listen) and [`Bind::listen_seqpacket`](crate::Bind::listen_seqpacket) create one.
/// Dropping it removes the name, closes the socket (which *resets the connections that were not accepted, and loses
/// what was sent on them*), then removes and releases the lock, in this order. [`into_draining`](Self::into_draining)
/// loses no connection.
#[derive(Debug)]
pub struct Listener<S = UnixStream> {
    // The fields must be dropped in this order: the open socket keeps the inode number ours while the name is removed,
    // and the lock keeps other processes from the name until everything is done.
    name: Option<Published>,
    watch: Option<NameWatch>,
    queue: Queue<S, AsyncFd<OwnedFd>>,
    lock: Option<NameLock>,
    bind: Bind,
    warnings: Vec<Warning>,
}

impl<S: Acceptable> Listener<S> {
    /// Registers a listening, non-blocking socket with the runtime.
    pub(crate) fn watch(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
        sys::watch(socket, Interest::READABLE)
    }

    pub(crate) fn new(taken: Taken<AsyncFd<OwnedFd>>) -> Self {
        let Taken { socket, bind, admit, name, lock, mut warnings } = taken;
        let watch = name.as_ref().map(NameWatch::start).map(|(watch, error)| {
            warnings.extend(error.map(|source| Warning::NoNameEvents { source }));
            watch
        });
        let queue = Queue::new(socket, bind.address().clone(), admit);
        Self { name, watch, queue, lock, bind, warnings }
    }

    /// The address that it listens on.
    pub fn address(&self) -> &Address {
        &self.queue.address
    }

    /// Features that are missing but do not keep it from listening, and the consequences. They are known as soon as it
    /// listens.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Waits for the next connection from an admitted peer, and returns the peer's identity, too.
    ///
    /// It closes and counts the connections of other peers; [`next`](Self::next) reports each of them. If the process
    /// or the system runs out of descriptors or memory, connections wait in the queue while this pauses, for 10 ms at
    /// first and up to 1 s. From then on (after about 2 s), each further failure closes the connection that has waited
    /// longest, with a descriptor kept for this purpose, so that clients see an end instead of a hang.
    /// [`stats`](Self::stats) counts all of these.
    ///
    /// # Errors
    /// [`AcceptError`] if the listening socket itself is broken, which is permanent.
    ///
    /// # Cancel safety
    /// Dropping the future loses no connection. A pause continues in the next call.
    ///
    /// # Panics
    /// If a pause is needed in a tokio runtime built without time.
    pub async fn accept(&mut self) -> Result<(S, Peer), AcceptError> {
        self.queue.accept().await
    }

    /// The next event: a connection, as [`accept`](Self::accept) returns it; a rejected peer; a shortage; or the loss
    /// of the name. Each loss is reported once.
    ///
    /// The listener watches the file, the directories above it and the links on its path for removal and renaming
    /// (`inotify(7)`). It notices these at once, and costs nothing while idle. If it cannot watch one of them, such as
    /// a directory that this process may not read, it checks the name once a second. If there are no events at all, it
    /// also has [`Warning::NoNameEvents`]. It does not notice a mount over a directory above.
    ///
    /// # Errors
    /// See [`accept`](Self::accept).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Panics
    /// See [`accept`](Self::accept); also if it checks the name once a second.
    pub async fn next(&mut self) -> Result<Accepted<S>, AcceptError> {
        let Self { name, watch, queue, .. } = self;
        let (Some(name), Some(watch)) = (name, watch) else { return queue.next().await };
        tokio::select! {
            biased;
            loss = watch.lost(name) => Ok(Accepted::NameLost(loss)),
            accepted = queue.next() => accepted,
        }
    }

    /// Waits until the name is lost, as [`next`](Self::next) does, but accepts nothing: for a program that cannot take
    /// another connection for now. It never resolves if the socket has no file of its own to lose.
    ///
    /// # Cancel safety
    /// Dropping the future does not miss a loss.
    ///
    /// # Panics
    /// See [`next`](Self::next).
    pub async fn name_lost(&mut self) -> NameLoss {
        match (&self.name, &mut self.watch) {
            (Some(name), Some(watch)) => watch.lost(name).await,
            _ => std::future::pending().await,
        }
    }

    /// How the name was lost, if it was. This checks now whether its path leads to this listener's file.
    pub fn name_loss(&self) -> Option<NameLoss> {
        self.name.as_ref().and_then(Published::is_lost)
    }

    /// Binds the name again after it was lost, with a new socket and otherwise unchanged settings. Connections that
    /// wait on the old socket are returned first. Does nothing if the name still leads here, or if the listener has no
    /// file.
    ///
    /// # Errors
    /// See [`Bind::listen`]; above all [`BindError::InUse`] if another server has the name. After an error, everything
    /// is as before: the listener continues to accept clients that are already connected to the old socket, and you may
    /// try again.
    ///
    /// # Panics
    /// See [`Bind::listen`].
    pub fn rebind(&mut self) -> Result<(), BindError> {
        if self.name_loss().is_none() {
            return Ok(());
        }
        let Taken { socket, admit, name, .. } = self.bind.retake(S::KIND, &mut self.lock, Self::watch)?;
        self.queue.replace(socket);
        self.queue.admit = admit;
        self.watch = name.as_ref().map(|name| NameWatch::start(name).0);
        self.name = name;
        Ok(())
    }

    /// The statistics so far.
    pub fn stats(&self) -> &AcceptStats {
        &self.queue.stats
    }

    /// Stops listening without losing a connection: the name is removed, new connections are refused, and you can still
    /// accept the connections in the queue, with everything that was sent on them.
    ///
    /// A socket of the service manager is left as it is, and its queue is left to the next instance.
    pub fn into_draining(self) -> Draining<S> {
        let Self { name, queue, lock, .. } = self;
        let withdrawal = name.map_or(Withdrawal::NoName, Published::withdraw);
        let is_ours = !matches!(queue.address, Address::Systemd(_));
        if is_ours {
            // A client that looked up the name earlier must not enter the queue after we found it empty. If a listening
            // socket cannot be shut down, it is broken, and `accept` will report that.
            let _ = shutdown(&queue.socket, Shutdown::Read);
        }
        Draining { queue, withdrawal, has_more: is_ours, _lock: lock }
    }
}

impl<S> AsFd for Listener<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.socket.as_fd()
    }
}

/// A listener without its name that returns the connections that were already waiting.
///
/// Dropping it closes the socket, which resets the connections that are still in the queue, and then releases the lock,
/// so that the next process can bind the name.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("in.sock");
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # use uds_socket::{Bind, Connect};
/// let listener = Bind::path(&path).listen()?;
/// let mut client = Connect::path(&path).connect().await?;
/// client.write_all(b"sent before it was accepted").await?;
/// client.shutdown().await?;
///
/// let mut draining = listener.into_draining();
/// assert!(!path.exists());
/// let mut text = String::new();
/// while let Some((mut stream, _peer)) = draining.accept().await? {
///     stream.read_to_string(&mut text).await?;
/// }
/// assert_eq!(text, "sent before it was accepted");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Draining<S = UnixStream> {
    // Dropped in this order: the lock last.
    queue: Queue<S, AsyncFd<OwnedFd>>,
    withdrawal: Withdrawal,
    has_more: bool,
    _lock: Option<NameLock>,
}

impl<S: Acceptable> Draining<S> {
    /// The next of the waiting connections; `None` when there are no more.
    ///
    /// Admission is unchanged. During a shortage of descriptors it pauses until some are free, and closes no
    /// connection.
    ///
    /// # Errors
    /// [`AcceptError`] if the listening socket is broken.
    ///
    /// # Cancel safety
    /// Dropping the future loses no connection.
    ///
    /// # Panics
    /// If a pause is needed in a tokio runtime built without time.
    pub async fn accept(&mut self) -> Result<Option<(S, Peer)>, AcceptError> {
        while let Some(accepted) = self.next().await? {
            if let Accepted::Connection(connection, peer) = accepted {
                return Ok(Some((connection, peer)));
            }
        }
        Ok(None)
    }

    /// The next event, as [`Listener::next`] returns it, except for the loss of the name; `None` when there are no more
    /// connections.
    ///
    /// # Errors
    /// See [`accept`](Self::accept).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Panics
    /// See [`accept`](Self::accept).
    pub async fn next(&mut self) -> Result<Option<Accepted<S>>, AcceptError> {
        while self.has_more {
            self.queue.resume().await;
            match self.queue.accept_now() {
                Ok(socket) => return self.queue.taken(socket).map(Some),
                Err(Errno::AGAIN) => self.has_more = false,
                Err(errno) => {
                    let error = errno.into();
                    self.queue.failed(&error)?;
                    return Ok(Some(Accepted::Trouble(error)));
                }
            }
        }
        Ok(None)
    }

    /// What happened to the name.
    pub fn withdrawal(&self) -> &Withdrawal {
        &self.withdrawal
    }

    /// The statistics, including those from before the draining.
    pub fn stats(&self) -> &AcceptStats {
        &self.queue.stats
    }
}
