//! Listening without a runtime: each call blocks the thread that makes it.

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
    /// Takes the address and listens on it; connections are accepted with calls that block.
    ///
    /// # Errors
    /// As `Bind::listen`, but never [`BindError::NoRuntime`]: by path
    /// [`BindError::Address`],
    /// [`BindError::NoDirectory`], [`BindError::SharedDirectory`],
    /// [`BindError::NotASocket`], [`BindError::Locked`],
    /// [`BindError::ForeignLock`], [`BindError::InUse`],
    /// [`BindError::Contended`]; [`BindError::Bind`] when a system call fails.
    pub fn listen_blocking(self) -> Result<BlockingListener, BindError> {
        self.take(UnixStream::KIND, Ok).map(BlockingListener::new)
    }

    /// The same on all sockets that the service manager passed under this name; of any other address there is one listener.
    ///
    /// # Errors
    /// As [`listen_blocking`](Self::listen_blocking), but not [`BindError::PassedTwice`]. Then none of them
    /// listens.
    pub fn listen_all_blocking(self) -> Result<Vec<BlockingListener>, BindError> {
        let Address::Systemd(name) = self.address() else { return Ok(vec![self.listen_blocking()?]) };
        self.check()?;
        let sockets = activation::take_all(name, UnixStream::KIND)?;
        let adopt = |socket| self.clone().adopt(UnixStream::KIND, socket, Ok);
        sockets.into_iter().map(|socket| adopt(socket).map(BlockingListener::new)).collect()
    }
}

/// A listening socket and the name it was given, for programs without a runtime. Made by [`Bind::listen_blocking`].
///
/// Dropping it takes the name back, closes the socket — which resets the connections that were not accepted — and removes and
/// releases the lock, in this order. [`into_draining`](Self::into_draining) loses none.
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
    // Dropped in this order, for the reasons that `Listener` has.
    name: Option<Published>,
    queue: Queue<S, OwnedFd>,
    lock: Option<NameLock>,
    bind: Bind,
    warnings: Vec<Warning>,
    /// Since the first call that tells of the name.
    watch: Option<NameWatch>,
}

impl<S: Acceptable> BlockingListener<S> {
    fn new(taken: Taken<OwnedFd>) -> Self {
        let Taken { socket, bind, admit, name, lock, warnings } = taken;
        Self { name, queue: Queue::new(socket, bind.address().clone(), admit), lock, bind, warnings, watch: None }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.queue.address
    }

    /// What is missing here that does not keep it from listening, and what that means. Known as soon as it listens.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Waits for the next connection from a peer that is admitted, and says who it is.
    ///
    /// Connections of other peers are closed and counted. In a shortage of descriptors or memory it pauses, 10 ms at first and 1 s
    /// at last; once it is at 1 s, each further failure closes the connection that has waited longest, so that clients see an end
    /// instead of a hang. [`stats`](Self::stats) counts all of it.
    ///
    /// # Errors
    /// [`AcceptError`] when the listening socket itself is broken; it stays so.
    pub fn accept(&mut self) -> Result<(S, Peer), AcceptError> {
        loop {
            if let Some(Accepted::Connection(stream, peer)) = self.next_until(None, false)? {
                return Ok((stream, peer));
            }
        }
    }

    /// The same, but waits at most this long; `None` if no peer that is admitted came. Zero does not wait.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn accept_timeout(&mut self, time: Duration) -> Result<Option<(S, Peer)>, AcceptError> {
        // A time that no clock reaches is none.
        let deadline = Instant::now().checked_add(time);
        loop {
            match self.next_until(deadline, false)? {
                Some(Accepted::Connection(stream, peer)) => return Ok(Some((stream, peer))),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// How long the listener still pauses because of a shortage of descriptors or memory; zero if it does not. Until then
    /// [`accept_timeout`](Self::accept_timeout) accepts nothing.
    pub fn pause_left(&mut self) -> Duration {
        self.queue.pause_left()
    }

    /// Waits for what happens next: a connection, a peer that was rejected, a shortage, or the loss of the name, which is told once
    /// for each time. [`accept`](Self::accept) and [`accept_timeout`](Self::accept_timeout) do not tell of it.
    ///
    /// From the first call on, the file, the directories above it and the links on the way are watched (`inotify(7)`). Where one
    /// of them cannot be watched, or there are no events at all, the name is looked up once a second. That something was mounted
    /// over a directory above is not noticed.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn next_event(&mut self) -> Result<Accepted<S>, AcceptError> {
        loop {
            if let Some(accepted) = self.next_until(None, true)? {
                return Ok(accepted);
            }
        }
    }

    /// What happens next, `None` at the deadline; `with_name` if the loss of the name counts.
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
                    // The kernel says so of a blocking socket that was shut down.
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

    /// What happened so far.
    pub fn stats(&self) -> &AcceptStats {
        &self.queue.stats
    }

    /// How the name was lost, if it was: whether its path leads to this listener's file is looked up now.
    pub fn name_loss(&self) -> Option<NameLoss> {
        self.name.as_ref().and_then(Published::is_lost)
    }

    /// Takes the name again after it was lost, with a new socket and everything else as it was asked for. Connections that wait on
    /// the old socket are handed out first. Does nothing as long as the name leads here, and where there is none of ours.
    ///
    /// # Errors
    /// As [`Bind::listen_blocking`]; above all [`BindError::InUse`] if another server has the name. Then all is as
    /// before, and may be tried again.
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

    /// Stops listening without losing a connection: the name is taken back, new connections are refused, and those already in the
    /// queue can still be had, with all that was sent on them.
    ///
    /// A socket of the service manager is left as it is, its queue to the next instance.
    pub fn into_draining(self) -> BlockingDraining<S> {
        let Self { name, queue, lock, .. } = self;
        let withdrawal = name.map_or(Withdrawal::NoName, Published::withdraw);
        let is_ours = !matches!(queue.address, Address::Systemd(_));
        if is_ours {
            // A client that looked the name up before it went must not get into the queue after we found it empty.
            let _ = shutdown(&queue.socket, Shutdown::Read);
        }
        BlockingDraining { queue, withdrawal, has_more: is_ours, _lock: lock }
    }
}

impl<S> AsFd for BlockingListener<S> {
    /// The listening socket. It is non-blocking: poll it, and call [`accept_timeout`](Self::accept_timeout) with zero.
    ///
    /// In a shortage the socket stays readable while that returns `None`. Do not poll it again before
    /// [`pause_left`](Self::pause_left) is over.
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
    /// What became of the name.
    pub fn withdrawal(&self) -> &Withdrawal {
        &self.withdrawal
    }

    /// What happened so far, before the draining too.
    pub fn stats(&self) -> &AcceptStats {
        &self.queue.stats
    }
}

impl<S: Acceptable> Iterator for BlockingDraining<S> {
    type Item = Result<(S, Peer), AcceptError>;

    /// The next connection of an admitted peer. Through a shortage it pauses; an error is the last item.
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
    /// When to look the name up whether there is an event or not.
    next_check: Option<Instant>,
    told: Told,
}

impl NameWatch {
    fn start(name: &Published) -> Self {
        // What happened before is seen at the first look.
        Self { events: Events::of(name, Ok).ok(), next_check: Some(Instant::now()), told: Told::default() }
    }

    /// How the name was lost, if it was and that was not told yet.
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
    /// For something, which may be an event of the name.
    Ready,
    TooLong,
    ShutDown,
}

/// Waits for a connection until then, or for a reason to look the name up.
fn wait(socket: BorrowedFd<'_>, watch: Option<&NameWatch>, deadline: Option<Instant>) -> io::Result<Waited> {
    let next_check = watch.and_then(|watch| watch.next_check);
    let until = deadline.into_iter().chain(next_check).min();
    let events = watch.and_then(|watch| watch.events.as_ref());
    loop {
        let left = until.map(|at| at.saturating_duration_since(Instant::now()));
        // Too long a time for the kernel's type is as good as none.
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let listening = PollFd::from_borrowed_fd(socket, PollFlags::IN | PollFlags::RDHUP);
        // Without events, the socket twice.
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
