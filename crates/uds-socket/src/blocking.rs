//! Listening without a runtime: each call blocks its thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};

use crate::accept::{AcceptStats, Acceptable, Accepted, Queue};
use crate::address::Address;
use crate::bind::publish::{NameLock, NameLoss, Published, Withdrawal};
use crate::bind::{Bind, Taken, activation};
use crate::error::{AcceptError, BindError};
use crate::name_watch::{Events, PERIOD, Told, drain};
use crate::peer::Peer;
use crate::warning::Warning;

/// Without a runtime.
impl Bind {
    /// Binds the address and listens on it. Calls that accept connections block.
    ///
    /// # Errors
    /// For a path: [`BindError::Address`], [`BindError::NoDirectory`], [`BindError::Denied`], [`BindError::SharedDirectory`],
    /// [`BindError::NotASocket`], [`BindError::Locked`], [`BindError::ForeignLock`], [`BindError::InUse`],
    /// [`BindError::ForeignFilesystem`], [`BindError::MountPoint`], [`BindError::Contended`], [`BindError::Examine`]. For an
    /// abstract name: [`BindError::Address`], and [`BindError::Bind`] with `EADDRINUSE` if it is taken. For a socket of the
    /// service manager: [`BindError::NotPassed`], [`BindError::PassedTwice`], [`BindError::NotAListener`]. For all:
    /// [`BindError::NoFile`] if a mode, owner or group is set and the address is not a path; [`BindError::Bind`] if a
    /// system call fails. After an error, nothing is left behind.
    pub fn listen_blocking(self) -> Result<BlockingListener, BindError> {
        self.take(UnixStream::KIND, Ok).map(BlockingListener::new)
    }

    /// The same on all sockets that the service manager passed under this name. For any other address, there is one
    /// listener.
    ///
    /// # Errors
    /// The same as for [`listen_blocking`](Self::listen_blocking), except for [`BindError::PassedTwice`]. After an
    /// error, none of them listens.
    pub fn listen_all_blocking(self) -> Result<Vec<BlockingListener>, BindError> {
        let Address::Systemd(name) = self.address() else { return Ok(vec![self.listen_blocking()?]) };
        self.check()?;
        let sockets = activation::take_all(name, UnixStream::KIND)?;
        let adopt = |socket| self.clone().adopt(UnixStream::KIND, socket, Ok);
        sockets.into_iter().map(|socket| adopt(socket).map(BlockingListener::new)).collect()
    }
}

/// A listening socket and its name, for programs without a runtime. [`Bind::listen_blocking`] creates one.
///
/// Dropping it removes the name, closes the socket (which resets the connections that were not accepted), then removes
/// and releases the lock, in this order. [`into_draining`](Self::into_draining) loses no connection.
///
/// ```
/// use std::io::{Read as _, Write as _};
/// use std::thread;
/// use uds_socket::{Bind, Connect};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("echo.sock");
/// let mut listener = Bind::path(&path).listen_blocking()?;
/// let client = thread::spawn(move || -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
///     let mut stream = Connect::path(path).connect_blocking()?;
///     stream.write_all(b"hello")?;
///     stream.shutdown(std::net::Shutdown::Write)?;
///     Ok(std::io::read_to_string(stream)?)
/// });
/// let (mut stream, peer) = listener.accept()?;
/// assert_eq!(peer.pid(), Some(std::process::id()));
/// let mut text = Vec::new();
/// stream.read_to_end(&mut text)?;
/// stream.write_all(&text)?;
/// drop(stream);
/// assert_eq!(client.join().expect("no panic").expect("an echo"), "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BlockingListener<S = UnixStream> {
    // Dropped in this order, for the same reasons as in `Listener`.
    name: Option<Published>,
    queue: Queue<S, OwnedFd>,
    lock: Option<NameLock>,
    bind: Bind,
    warnings: Vec<Warning>,
    /// Created by the first call that reports the loss of the name.
    watch: Option<NameWatch>,
}

impl<S: Acceptable> BlockingListener<S> {
    fn new(taken: Taken<OwnedFd>) -> Self {
        let Taken { socket, bind, admit, name, lock, warnings } = taken;
        Self { name, queue: Queue::new(socket, bind.address().clone(), admit), lock, bind, warnings, watch: None }
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
    /// It closes and counts the connections of other peers. During a shortage of descriptors or memory it pauses, for
    /// 10 ms at first and up to 1 s. From then on, each further failure closes the connection that has waited longest,
    /// so that clients see an end instead of a hang. [`stats`](Self::stats) counts all of these.
    ///
    /// # Errors
    /// [`AcceptError`] if the listening socket itself is broken, which is permanent.
    pub fn accept(&mut self) -> Result<(S, Peer), AcceptError> {
        loop {
            if let Some(Accepted::Connection(stream, peer)) = self.next_until(None, false)? {
                return Ok((stream, peer));
            }
        }
    }

    /// The same, with a maximum wait; `None` if no admitted peer came. Zero does not wait.
    ///
    /// # Errors
    /// See [`accept`](Self::accept).
    pub fn accept_timeout(&mut self, time: Duration) -> Result<Option<(S, Peer)>, AcceptError> {
        // A time that no clock reaches means no deadline.
        let deadline = Instant::now().checked_add(time);
        loop {
            match self.next_until(deadline, false)? {
                Some(Accepted::Connection(stream, peer)) => return Ok(Some((stream, peer))),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// How long the listener still pauses because of a shortage of descriptors or memory; zero if it does not. Until
    /// then, [`accept_timeout`](Self::accept_timeout) accepts nothing.
    pub fn pause_left(&mut self) -> Duration {
        self.queue.pause_left()
    }

    /// Waits for the next event: a connection, a rejected peer, a shortage, or the loss of the name. Each loss is
    /// reported once. [`accept`](Self::accept) and [`accept_timeout`](Self::accept_timeout) do not report it.
    ///
    /// From the first call on, the listener watches the file, the directories above it and the links on its path
    /// (`inotify(7)`). If it cannot watch one of them, or if there are no events at all, it checks the name once a
    /// second. It does not notice a mount over a directory above.
    ///
    /// # Errors
    /// See [`accept`](Self::accept).
    pub fn next_event(&mut self) -> Result<Accepted<S>, AcceptError> {
        loop {
            if let Some(accepted) = self.next_until(None, true)? {
                return Ok(accepted);
            }
        }
    }

    /// The next event; `None` at the deadline. `with_name` includes the loss of the name.
    fn next_until(&mut self, deadline: Option<Instant>, with_name: bool) -> Result<Option<Accepted<S>>, AcceptError> {
        loop {
            let mut watch = None;
            if let (Some(name), true) = (&self.name, with_name) {
                let watching = self.watch.get_or_insert_with(|| NameWatch::start(name));
                if let Some(loss) = watching.loss(name) {
                    return Ok(Some(Accepted::NameLost(loss)));
                }
                watch = Some(&*watching);
            }
            if !self.queue.sleep_out(deadline) {
                return Ok(None);
            }
            let error = match self.queue.accept_now() {
                Ok(socket) => return self.queue.taken(socket).map(Some),
                Err(Errno::AGAIN) => match wait(self.queue.socket.as_fd(), watch, deadline) {
                    Ok(Waited::Ready) => continue,
                    Ok(Waited::TooLong) => return Ok(None),
                    // The kernel reports this for a blocking socket that was shut down.
                    Ok(Waited::ShutDown) => Errno::INVAL.into(),
                    Err(error) => error,
                },
                Err(errno) => errno.into(),
            };
            if let Some(trouble) = self.queue.not_accepted(error)? {
                return Ok(Some(trouble));
            }
        }
    }

    /// The statistics so far.
    pub fn stats(&self) -> &AcceptStats {
        &self.queue.stats
    }

    /// How the name was lost, if it was. This checks now whether its path leads to this listener's file.
    pub fn name_loss(&self) -> Option<NameLoss> {
        self.name.as_ref().and_then(Published::is_lost)
    }

    /// Binds the name again after it was lost, with a new socket and otherwise unchanged settings. Connections that
    /// wait on the old socket are returned first. Does nothing if the name still leads here, or if the listener has no
    /// name of its own.
    ///
    /// # Errors
    /// See [`Bind::listen_blocking`]; above all [`BindError::InUse`] if another server has the name. After an error,
    /// everything is as before, and you may try again.
    pub fn rebind(&mut self) -> Result<(), BindError> {
        if self.name_loss().is_none() {
            return Ok(());
        }
        let Taken { socket, admit, name, .. } = self.bind.retake(S::KIND, &mut self.lock, Ok)?;
        self.queue.replace(socket);
        self.queue.admit = admit;
        self.watch = None;
        self.name = name;
        Ok(())
    }

    /// Stops listening without losing a connection: the name is removed, new connections are refused, and you can still
    /// accept the connections in the queue, with everything that was sent on them.
    ///
    /// A socket of the service manager is left as it is, and its queue is left to the next instance.
    pub fn into_draining(self) -> BlockingDraining<S> {
        let Self { name, queue, lock, .. } = self;
        let withdrawal = name.map_or(Withdrawal::NoName, Published::withdraw);
        let is_ours = !matches!(queue.address, Address::Systemd(_));
        if is_ours {
            // A client that looked up the name earlier must not enter the queue after we found it empty.
            let _ = shutdown(&queue.socket, Shutdown::Read);
        }
        BlockingDraining { queue, withdrawal, has_more: is_ours, _lock: lock }
    }
}

impl<S> AsFd for BlockingListener<S> {
    /// The listening socket. It is non-blocking: poll it, and call [`accept_timeout`](Self::accept_timeout) with zero.
    ///
    /// During a shortage, the socket stays readable while that returns `None`. Do not poll it again before
    /// [`pause_left`](Self::pause_left) has passed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.socket.as_fd()
    }
}

/// The connections that were waiting when a [`BlockingListener`] stopped listening. No call waits for a peer.
#[derive(Debug)]
pub struct BlockingDraining<S = UnixStream> {
    // Dropped in this order: the lock last.
    queue: Queue<S, OwnedFd>,
    withdrawal: Withdrawal,
    has_more: bool,
    _lock: Option<NameLock>,
}

impl<S> BlockingDraining<S> {
    /// What happened to the name.
    pub fn withdrawal(&self) -> &Withdrawal {
        &self.withdrawal
    }

    /// The statistics, including those from before the draining.
    pub fn stats(&self) -> &AcceptStats {
        &self.queue.stats
    }
}

impl<S: Acceptable> Iterator for BlockingDraining<S> {
    type Item = Result<(S, Peer), AcceptError>;

    /// The next connection of an admitted peer. It pauses during a shortage. An error is the last item.
    fn next(&mut self) -> Option<Self::Item> {
        while self.has_more {
            self.queue.sleep_out(None);
            let outcome = match self.queue.accept_now() {
                Ok(socket) => self.queue.taken(socket),
                Err(Errno::AGAIN) => {
                    self.has_more = false;
                    continue;
                }
                Err(errno) => {
                    let error = io::Error::from(errno);
                    self.queue.failed(&error).map(|_| Accepted::Trouble(error))
                }
            };
            match outcome {
                Ok(Accepted::Connection(stream, peer)) => return Some(Ok((stream, peer))),
                Ok(_) => {}
                Err(error) => {
                    self.has_more = false;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// The watch on the name, without a runtime.
#[derive(Debug)]
struct NameWatch {
    events: Option<Events>,
    /// When to check the name even if there is no event.
    next_check: Option<Instant>,
    told: Told,
}

impl NameWatch {
    fn start(name: &Published) -> Self {
        // The first check sees what happened before.
        Self { events: Events::of(name, Ok).ok(), next_check: Some(Instant::now()), told: Told::default() }
    }

    /// How the name was lost, if it was and that was not reported yet.
    fn loss(&mut self, name: &Published) -> Option<NameLoss> {
        let mut is_due = self.next_check.is_some_and(|at| at <= Instant::now());
        if let Some(events) = &mut self.events {
            match drain(events.inotify()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    is_due = true;
                    events.handle_event();
                    if read.is_err() {
                        self.events = None;
                    }
                }
            }
        }
        if !is_due {
            return None;
        }
        let loss = self.told.check(name, self.events.as_mut());
        let is_timed = self.events.as_ref().is_none_or(|events| !events.is_complete());
        self.next_check = is_timed.then(|| Instant::now() + PERIOD);
        loss
    }
}

enum Waited {
    /// An event occurred, possibly one of the name.
    Ready,
    TooLong,
    ShutDown,
}

/// Waits for a connection until the deadline, or for a reason to check the name.
fn wait(socket: BorrowedFd<'_>, watch: Option<&NameWatch>, deadline: Option<Instant>) -> io::Result<Waited> {
    let next_check = watch.and_then(|watch| watch.next_check);
    let until = deadline.into_iter().chain(next_check).min();
    let events = watch.and_then(|watch| watch.events.as_ref());
    loop {
        let left = until.map(|at| at.saturating_duration_since(Instant::now()));
        // If the time is too long for the kernel's type, there is no deadline.
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let listening = PollFd::from_borrowed_fd(socket, PollFlags::IN | PollFlags::RDHUP);
        // Without events, pass the socket twice.
        let named = events.map_or_else(|| listening.clone(), |events| PollFd::new(events.inotify(), PollFlags::IN));
        let mut sockets = [listening, named];
        match poll(&mut sockets, left.as_ref()) {
            Ok(0) if until == deadline => return Ok(Waited::TooLong),
            Ok(_) if sockets[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP) => return Ok(Waited::ShutDown),
            Ok(_) => return Ok(Waited::Ready),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
