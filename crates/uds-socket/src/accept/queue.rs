//! The kernel's accept queue: it is emptied even through shortages, and connections of admitted peers are returned.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, accept_with, shutdown, socket_with};
#[cfg(feature = "tokio")]
use tokio::{
    io::unix::AsyncFd,
    time::{Instant, sleep_until},
};

use super::accepted::{Acceptable, Accepted};
use super::stats::AcceptStats;
use crate::address::Address;
use crate::admit::Admit;
use crate::backoff::Backoff;
use crate::error::AcceptError;
use crate::peer::Peer;

/// The pauses while the system has no descriptor or memory for another connection.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// The kernel's accept queue, and the state for emptying it. `W` is the socket in the form in which the caller waits
/// for it.
#[derive(Debug)]
pub(crate) struct Queue<S, W> {
    pub(crate) socket: W,
    /// Listening sockets that have lost their name, while connections are still waiting on them.
    retired: Vec<W>,
    connections: PhantomData<fn() -> S>,
    pub(crate) address: Address,
    pub(crate) admit: Admit,
    /// A descriptor to release when there are no others.
    spare: Option<OwnedFd>,
    backoff: Backoff,
    /// The pause before the next attempt.
    pause: Option<Duration>,
    /// The end of the current pause, which several calls may share.
    #[cfg(feature = "tokio")]
    resume_at: Option<Instant>,
    /// The same without a runtime, which may have a different clock.
    sleeps_until: Option<std::time::Instant>,
    pub(crate) stats: AcceptStats,
}

impl<S: Acceptable, W: AsFd> Queue<S, W> {
    pub(crate) fn new(socket: W, address: Address, admit: Admit) -> Self {
        Self {
            socket,
            retired: Vec::new(),
            connections: PhantomData,
            address,
            admit,
            spare: spare(),
            backoff: Backoff::new(FIRST_PAUSE, LAST_PAUSE),
            pause: None,
            #[cfg(feature = "tokio")]
            resume_at: None,
            sleeps_until: None,
            stats: AcceptStats::default(),
        }
    }

    /// Decides about an accepted connection. Unless it is returned, it is closed and counted.
    pub(crate) fn taken(&mut self, socket: OwnedFd) -> Result<Accepted<S>, AcceptError> {
        match S::from_socket(socket) {
            Ok(stream) => {
                self.recovered();
                Ok(self.admitted(stream))
            }
            Err(error) => {
                // The runtime cannot watch any more sockets.
                self.stats.shed += 1;
                self.failed(&error)?;
                Ok(Accepted::Trouble(error))
            }
        }
    }

    /// The next connection in the queue, if there is one.
    pub(crate) fn accept_now(&mut self) -> rustix::io::Result<OwnedFd> {
        self.accept_retired().unwrap_or_else(|| accept_from(&self.socket))
    }

    /// Accepts from a new socket from now on. Connections that wait on the old one are returned first.
    pub(crate) fn replace(&mut self, socket: W) {
        let old = std::mem::replace(&mut self.socket, socket);
        // Its name no longer leads to it, but a client may have looked the name up before.
        let _ = shutdown(&old, Shutdown::Read);
        self.retired.push(old);
    }

    /// A connection that waits on a retired socket, or the error of accepting it; `None` if there are none.
    pub(crate) fn accept_retired(&mut self) -> Option<rustix::io::Result<OwnedFd>> {
        while let Some(socket) = self.retired.first() {
            match accept_from(socket) {
                // After a shutdown, an empty queue causes AGAIN or INVAL.
                Err(Errno::AGAIN | Errno::INVAL) => drop(self.retired.remove(0)),
                attempt => return Some(attempt),
            }
        }
        None
    }

    fn recovered(&mut self) {
        self.backoff.reset();
        if self.spare.is_none() {
            self.spare = spare();
        }
    }

    fn admitted(&mut self, stream: S) -> Accepted<S> {
        let peer = match Peer::of(&stream) {
            Ok(peer) if self.admit.admits(&peer) => {
                self.stats.accepted += 1;
                return Accepted::Connection(stream, peer);
            }
            Ok(peer) => Some(peer),
            Err(_) => None,
        };
        self.stats.rejected += 1;
        self.stats.last_rejected = peer.clone().or(self.stats.last_rejected.take());
        Accepted::Rejected(peer)
    }

    /// Counts a failure and sets the pause after it. Returns an error if the failure is permanent.
    pub(crate) fn failed(&mut self, error: &io::Error) -> Result<Shortage, AcceptError> {
        let Some(shortage) = Shortage::of(error) else {
            return Err(self.broken(error));
        };
        self.stats.failures += 1;
        self.stats.last_failure = Some(error.kind());
        self.pause = Some(self.backoff.pause());
        Ok(shortage)
    }

    /// The meaning of a failure to accept: an event if it is a shortage, an error if it is permanent.
    pub(crate) fn not_accepted(&mut self, error: io::Error) -> Result<Option<Accepted<S>>, AcceptError> {
        let last_resort = self.backoff.is_exhausted();
        let shortage = self.failed(&error)?;
        if shortage == Shortage::Descriptors && last_resort {
            self.shed();
        }
        Ok((shortage != Shortage::Nothing).then_some(Accepted::Trouble(error)))
    }

    /// The remaining pause before the next attempt, without a runtime.
    pub(crate) fn pause_left(&mut self) -> Duration {
        if let Some(pause) = self.pause.take() {
            self.sleeps_until = Some(std::time::Instant::now() + pause);
        }
        self.sleeps_until.map_or(Duration::ZERO, |end| end.saturating_duration_since(std::time::Instant::now()))
    }

    /// Sleeps until the pause is over. Returns false if the deadline comes first; the next call sleeps for the rest.
    pub(crate) fn sleep_out(&mut self, deadline: Option<std::time::Instant>) -> bool {
        let pause = self.pause_left();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(std::time::Instant::now()));
        match left {
            Some(left) if left < pause => {
                thread::sleep(left);
                false
            }
            _ => {
                thread::sleep(pause);
                self.sleeps_until = None;
                true
            }
        }
    }

    fn broken(&self, error: &io::Error) -> AcceptError {
        let source = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
        AcceptError { address: self.address.clone(), source }
    }

    /// Closes the connection that has waited longest.
    fn shed(&mut self) {
        if self.spare.take().is_none() {
            return;
        }
        if self.accept_now().is_ok() {
            self.stats.shed += 1;
        }
        self.spare = spare();
    }
}

#[cfg(feature = "tokio")]
impl<S: Acceptable> Queue<S, AsyncFd<OwnedFd>> {
    pub(crate) async fn accept(&mut self) -> Result<(S, Peer), AcceptError> {
        loop {
            if let Accepted::Connection(connection, peer) = self.next().await? {
                return Ok((connection, peer));
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Accepted<S>, AcceptError> {
        loop {
            self.resume().await;
            let attempt = match self.accept_retired() {
                Some(attempt) => attempt.map_err(io::Error::from),
                None => self.wait().await,
            };
            match attempt {
                Ok(socket) => return self.taken(socket),
                Err(error) => {
                    if let Some(trouble) = self.not_accepted(error)? {
                        return Ok(trouble);
                    }
                }
            }
        }
    }

    /// Waits for a connection.
    async fn wait(&self) -> io::Result<OwnedFd> {
        loop {
            let mut ready = self.socket.readable().await?;
            match accept_from(ready.get_inner()) {
                // Another process that has this socket has shut it down. `accept` reports that only on a blocking
                // socket, and the runtime would consider the socket ready forever.
                Err(Errno::AGAIN) if ready.ready().is_read_closed() => return Err(Errno::INVAL.into()),
                Err(Errno::AGAIN) => ready.clear_ready(),
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Waits until the pause is over, if there is one.
    pub(crate) async fn resume(&mut self) {
        if let Some(pause) = self.pause.take() {
            self.resume_at = Some(Instant::now() + pause);
        }
        if let Some(at) = self.resume_at {
            sleep_until(at).await;
            self.resume_at = None;
        }
    }
}

fn accept_from(socket: impl AsFd) -> rustix::io::Result<OwnedFd> {
    accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
}

/// Why `accept` failed, for failures after which it makes sense to try again (`accept(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// No descriptor is free, in this process or in the system.
    Descriptors,
    /// No memory.
    Memory,
    /// There is no shortage: that one connection failed, or the call was interrupted.
    Nothing,
}

impl Shortage {
    fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::MFILE | Errno::NFILE => Some(Self::Descriptors),
            // NOSPC: the runtime cannot watch any more sockets (`epoll_ctl(2)`).
            Errno::NOMEM | Errno::NOBUFS | Errno::NOSPC => Some(Self::Memory),
            Errno::CONNABORTED | Errno::INTR | Errno::PROTO | Errno::PERM => Some(Self::Nothing),
            _ => None,
        }
    }
}

/// Any descriptor will do. This one needs nothing from the filesystem.
fn spare() -> Option<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;
    use crate::address::SocketKind;
    use crate::sys;

    /// A connection that the runtime has no room to watch.
    struct Unwatched(OwnedFd);

    impl AsFd for Unwatched {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl Acceptable for Unwatched {
        const KIND: SocketKind = SocketKind::Stream;

        fn from_socket(_: OwnedFd) -> io::Result<Self> {
            Err(Errno::NOSPC.into())
        }
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_cannot_be_watched_is_counted_as_shed_and_not_for_ever_hurried_after() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock");
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let clients: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
        let socket = sys::watch(listener.into(), tokio::io::Interest::READABLE).unwrap();
        let mut queue = Queue::<Unwatched, _>::new(socket, Address::Path(path), Admit::own());
        assert!(
            tokio::time::timeout(Duration::from_secs(60), queue.accept()).await.is_err(),
            "no connection is accepted"
        );
        let AcceptStats { accepted, rejected, shed, failures, .. } = queue.stats;
        assert_eq!((accepted, rejected, shed, failures), (0, 0, 3, 3), "each of {} is closed once", clients.len());
    }

    #[test]
    fn only_a_broken_socket_ends_the_accepting() {
        let of = |errno: Errno| Shortage::of(&errno.into());
        for errno in [Errno::MFILE, Errno::NFILE] {
            assert_eq!(of(errno), Some(Shortage::Descriptors), "{errno}");
        }
        for errno in [Errno::NOMEM, Errno::NOBUFS, Errno::NOSPC] {
            assert_eq!(of(errno), Some(Shortage::Memory), "{errno}");
        }
        for errno in [Errno::CONNABORTED, Errno::INTR, Errno::PROTO, Errno::PERM] {
            assert_eq!(of(errno), Some(Shortage::Nothing), "{errno}");
        }
        for errno in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::OPNOTSUPP] {
            assert_eq!(of(errno), None, "{errno}");
        }
        assert_eq!(Shortage::of(&io::Error::other("not from the kernel")), None);
    }
}
