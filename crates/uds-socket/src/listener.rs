//! A listening socket with its name: accepting, watching the name, and at the end losing no connection that was made.

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
    /// Takes the address and listens on it.
    ///
    /// A plain function, because it is a dozen short calls on a local file system, and because it must not stop half-way the
    /// way a dropped future does. It waits for no other process, except that a lock that is held is tried again for 10 ms,
    /// and one that a sweep of the directory examines for 100 ms.
    ///
    /// # Errors
    /// By path: [`BindError::Address`], [`BindError::NoDirectory`], [`BindError::SharedDirectory`],
    /// [`BindError::NotASocket`], [`BindError::Locked`], [`BindError::ForeignLock`], [`BindError::InUse`],
    /// [`BindError::ForeignFilesystem`], [`BindError::Contended`].
    /// By abstract name: [`BindError::Address`], and [`BindError::Bind`] with `EADDRINUSE` when it is taken.
    /// From the service manager: [`BindError::NotPassed`], [`BindError::PassedTwice`], [`BindError::NotAListener`].
    /// [`BindError::NoFile`] when mode, owner or group are set and the address is not a path; [`BindError::NoRuntime`]
    /// outside a tokio runtime; [`BindError::Bind`] when a system call fails. Nothing is left behind.
    ///
    /// # Panics
    /// In a tokio runtime that was built without I/O.
    pub fn listen(self) -> Result<Listener, BindError> {
        self.listen_for::<UnixStream>()
    }

    /// Takes the address and listens on all sockets that are passed under its name: a `.socket` unit with two `ListenStream=`
    /// lines passes two of one name. Of any other address, there is one listener.
    ///
    /// # Errors
    /// As [`listen`](Self::listen), but not [`BindError::PassedTwice`]. Then none of them listens.
    ///
    /// # Panics
    /// As [`listen`](Self::listen).
    pub fn listen_all(self) -> Result<Vec<Listener>, BindError> {
        let Address::Systemd(name) = self.address() else { return Ok(vec![self.listen()?]) };
        in_runtime()?;
        self.check()?;
        let sockets = activation::take_all(name, SocketKind::Stream)?;
        let adopt = |socket| self.clone().adopt(SocketKind::Stream, socket, Listener::<UnixStream>::watch);
        sockets.into_iter().map(|socket| adopt(socket).map(Listener::new)).collect()
    }

    /// The same for connections that keep packets apart: `SOCK_SEQPACKET`, in a unit file `ListenSequentialPacket=`.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    ///
    /// # Panics
    /// As [`listen`](Self::listen).
    pub fn listen_seqpacket(self) -> Result<SeqpacketListener, BindError> {
        self.listen_for()
    }

    fn listen_for<S: Acceptable>(self) -> Result<Listener<S>, BindError> {
        in_runtime()?;
        self.take(S::KIND, Listener::<S>::watch).map(Listener::new)
    }
}

/// A listener for connections that keep packets apart.
pub type SeqpacketListener = Listener<Seqpacket>;

/// A listening socket and the name it was given.
///
/// Made by [`Bind::listen`](crate::Bind::listen) and [`Bind::listen_seqpacket`](crate::Bind::listen_seqpacket). Dropping
/// it takes the name back, closes the socket — which *resets the connections that were not accepted, with what was sent on
/// them* — and removes and releases the lock, in this order. [`into_draining`](Self::into_draining) loses none.
#[derive(Debug)]
pub struct Listener<S = UnixStream> {
    // Fields are dropped in this order, and it matters: the open socket keeps the inode number ours while the name is
    // taken back, and the lock keeps others away from the name until all is over.
    name: Option<Published>,
    watch: Option<NameWatch>,
    queue: Queue<S, AsyncFd<OwnedFd>>,
    lock: Option<NameLock>,
    bind: Bind,
    warnings: Vec<Warning>,
}

impl<S: Acceptable> Listener<S> {
    /// Hands a listening, non-blocking socket over to the runtime.
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

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.queue.address
    }

    /// What is missing here that does not keep it from listening, and what that means. Known as soon as it listens.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The next connection from a peer that is admitted, and who it is.
    ///
    /// The connections of peers that are not admitted are closed and counted; [`next`](Self::next) tells of each. When the process or the system is out of descriptors or
    /// memory, connections wait in the queue while this pauses, 10 ms at first and 1 s at last; once it is at 1 s
    /// (which takes about 2 s), each further failure closes the connection that has waited longest, by means of
    /// a descriptor kept for the purpose, so that clients see an end instead of a hang. All of it is counted in
    /// [`stats`](Self::stats).
    ///
    /// # Errors
    /// [`AcceptError`] when the listening socket itself is broken; it stays so.
    ///
    /// # Cancel safety
    /// Dropping the future loses no connection; a pause goes on where it was.
    ///
    /// # Panics
    /// When a pause is needed in a tokio runtime that was built without time.
    pub async fn accept(&mut self) -> Result<(S, Peer), AcceptError> {
        self.queue.accept().await
    }

    /// What happens next: a connection, as [`accept`](Self::accept) gives it; a peer that was rejected; a shortage; or the loss
    /// of the name, which is told once for each time.
    ///
    /// The file, the directories above it and the links on the way are watched for their removal and renaming (`inotify(7)`),
    /// which is told at once and costs an idle listener nothing. Where one of them cannot be watched, as a directory that
    /// this process may not read, the name is looked up once a second; where there are no events at all,
    /// [`Warning::NoNameEvents`] says so. That something was mounted over a directory above is not noticed.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Panics
    /// As [`accept`](Self::accept); also where the name is looked up once a second.
    pub async fn next(&mut self) -> Result<Accepted<S>, AcceptError> {
        let Self { name, watch, queue, .. } = self;
        let (Some(name), Some(watch)) = (name, watch) else { return queue.next().await };
        tokio::select! {
            biased;
            loss = watch.lost(name) => Ok(Accepted::NameLost(loss)),
            accepted = queue.next() => accepted,
        }
    }

    /// Waits until the name is lost, as [`next`](Self::next) does, and accepts nothing meanwhile: for a program that can take no
    /// further connection for now. Never resolves where the socket has no file that it could lose.
    ///
    /// # Cancel safety
    /// A loss is not missed if the future is dropped.
    ///
    /// # Panics
    /// As [`next`](Self::next).
    pub async fn name_lost(&mut self) -> NameLoss {
        match (&self.name, &mut self.watch) {
            (Some(name), Some(watch)) => watch.lost(name).await,
            _ => std::future::pending().await,
        }
    }

    /// How the name was lost, if it was: whether its path leads to this listener's file is looked up now.
    pub fn name_loss(&self) -> Option<NameLoss> {
        self.name.as_ref().and_then(Published::is_lost)
    }

    /// Takes the name again after it was lost, with a new socket and everything else as it was asked for. Connections that
    /// wait on the old socket are handed out first. Does nothing as long as the name leads here, and where there is no
    /// file.
    ///
    /// # Errors
    /// As [`Bind::listen`]; above all [`BindError::InUse`] if another server has the name. Then all is as
    /// before: this goes on accepting from those who are connected to the old socket already, and may be tried again.
    ///
    /// # Panics
    /// As [`Bind::listen`].
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

    /// What happened so far.
    pub fn stats(&self) -> &AcceptStats {
        &self.queue.stats
    }

    /// Stops listening without losing a connection: the name is taken back, new connections are refused, and those already
    /// in the queue can still be had, with all that was sent on them.
    ///
    /// A socket of the service manager is left as it is, its queue to the next instance.
    pub fn into_draining(self) -> Draining<S> {
        let Self { name, queue, lock, .. } = self;
        let withdrawal = name.map_or(Withdrawal::NoName, Published::withdraw);
        let is_ours = !matches!(queue.address, Address::Systemd(_));
        if is_ours {
            // A client that looked the name up before it went must not get into the queue after we found it empty. A
            // listening socket that cannot be shut down is broken, which `accept` will say.
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

/// A listener that has lost its name and gives out the connections that were already waiting.
///
/// Dropping it closes the socket, which resets what is still in the queue, and then lets go of the lock, so that the
/// next process can take the name.
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
/// client.write_all(b"sent before anybody accepted").await?;
/// client.shutdown().await?;
///
/// let mut draining = listener.into_draining();
/// assert!(!path.exists());
/// let mut text = String::new();
/// while let Some((mut stream, _peer)) = draining.accept().await? {
///     stream.read_to_string(&mut text).await?;
/// }
/// assert_eq!(text, "sent before anybody accepted");
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
    /// The next connection of those that were waiting, `None` when there are no more.
    ///
    /// Admission is as before. In a shortage of descriptors it pauses until there are some again; nobody is shed.
    ///
    /// # Errors
    /// [`AcceptError`] when the listening socket is broken.
    ///
    /// # Cancel safety
    /// Dropping the future loses no connection.
    ///
    /// # Panics
    /// When a pause is needed in a tokio runtime that was built without time.
    pub async fn accept(&mut self) -> Result<Option<(S, Peer)>, AcceptError> {
        while let Some(accepted) = self.next().await? {
            if let Accepted::Connection(connection, peer) = accepted {
                return Ok(Some((connection, peer)));
            }
        }
        Ok(None)
    }

    /// What happens next, `None` when there are no more connections: as [`Listener::next`], but for the name.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Panics
    /// As [`accept`](Self::accept).
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

    /// What became of the name.
    pub fn withdrawal(&self) -> &Withdrawal {
        &self.withdrawal
    }

    /// What happened so far, before the draining too.
    pub fn stats(&self) -> &AcceptStats {
        &self.queue.stats
    }
}
