//! Connecting to a server, once or until a deadline, with errors that say what is in the way.

#[cfg(feature = "tokio")]
mod in_runtime;
mod starting;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use lock_file::FileKind;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, connect, socket_with};

use crate::abstract_name::abstract_address;
use crate::address::{Address, SocketKind, to_system};
use crate::backoff::{Backoff, chance};
use crate::denied::{denied, missing};
use crate::error::ConnectError;
use crate::path::{check, descriptor_path, fits};
use crate::sys::{self, Rights};

use self::starting::{START, is_starting};

/// The pauses between attempts: so short that a restart is hardly noticeable, and so long that the load is negligible.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// How to connect to a server's socket.
///
/// Without a deadline, there is one attempt and a clear error, with one exception: a socket has its name after `bind`,
/// but its server listens only with the next system call. If the socket file is younger than two seconds, and the
/// kernel says that it is bound and does not listen, `Connect` therefore tries again for up to 200 ms. (The kernel does
/// not say this for abstract names, so there it fails at once.)
///
/// With a deadline, `Connect` waits out everything that a restart looks like from outside: no file, a socket that does
/// not listen, a full accept queue. The pauses between attempts grow and have random jitter. Other errors still fail at
/// once.
///
/// Each attempt is non-blocking: a stuck server with a full queue, on which a plain `connect` waits forever, cannot
/// block it. Whether the server *answers* is up to the protocol above.
///
/// ```
/// use std::time::Duration;
/// use uds_socket::{Connect, ConnectError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let error = Connect::path("/run/no-such/x.sock").deadline(Duration::from_millis(20)).connect().await.unwrap_err();
/// assert!(matches!(&error, ConnectError::NotThere { missing, .. } if missing.ends_with("no-such")));
/// assert!(error.is_retryable());
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "call `connect`"]
pub struct Connect {
    address: Address,
    deadline: Duration,
    rights: Rights,
}

impl Connect {
    /// An address given as a value. You cannot connect to one of the service manager.
    pub fn to(address: Address) -> Self {
        Self { address, deadline: Duration::ZERO, rights: Rights::Rejected }
    }

    /// A path in the filesystem, of up to 4095 bytes.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::to(Address::Path(path.into()))
    }

    /// A name of 1 to 107 bytes in the abstract namespace of the network namespace.
    pub fn abstract_name(name: impl Into<Vec<u8>>) -> Self {
        Self::to(Address::Abstract(name.into()))
    }

    /// How long to keep trying, counted from the call. Zero, the default, means one attempt.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Allows the server to send descriptors (`SCM_RIGHTS`), for a connection that becomes
    /// `uds_actor::Actor::pass_descriptors`.
    ///
    /// Without it, sending descriptors fails with `EPERM` (`SO_PASSRIGHTS`, Linux 6.16).
    pub fn pass_descriptors(mut self) -> Self {
        self.rights = Rights::Accepted;
        self
    }

    fn failed(&self, source: std::io::Error) -> ConnectError {
        ConnectError::Connect { address: self.address.clone(), source }
    }

    /// Connects without a runtime, blocking the calling thread. The stream is in blocking mode.
    ///
    /// # Errors
    /// Until the deadline, it waits out [`ConnectError::NotThere`], [`ConnectError::NotListening`],
    /// [`ConnectError::QueueFull`], and [`ConnectError::Connect`] for a shortage of descriptors or memory. These fail
    /// at once: [`ConnectError::Address`], [`ConnectError::NotASocket`], [`ConnectError::WrongType`],
    /// [`ConnectError::Denied`], [`ConnectError::NoProc`], other [`ConnectError::Connect`].
    pub fn connect_blocking(&self) -> Result<StdStream, ConnectError> {
        let mut attempts = Attempts::new(self.deadline);
        loop {
            match self.attempt(SocketKind::Stream) {
                Ok(socket) => {
                    let stream = StdStream::from(socket);
                    stream.set_nonblocking(false).map_err(|source| self.failed(source))?;
                    return Ok(stream);
                }
                Err(error) => thread::sleep(attempts.pause_after(error, &self.address)?),
            }
        }
    }

    fn attempt(&self, kind: SocketKind) -> Result<OwnedFd, ConnectError> {
        match &self.address {
            Address::Path(path) => {
                check(path)?;
                self.reach_path(path, kind).map_err(|errno| diagnose(path, kind, errno))
            }
            Address::Abstract(name) => {
                let address = abstract_address(name)?;
                self.reach(&address, kind).map_err(|errno| from_errno(self.address.clone(), kind, errno))
            }
            Address::Systemd(_) => Err(from_errno(self.address.clone(), kind, Errno::AFNOSUPPORT)),
        }
    }

    fn reach_path(&self, path: &Path, kind: SocketKind) -> rustix::io::Result<OwnedFd> {
        if fits(path) {
            return self.reach(&SocketAddrUnix::new(path)?, kind);
        }
        // Any path can be opened, and an open file has a short name in `/proc`.
        let file = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        self.reach(&SocketAddrUnix::new(descriptor_path(file.as_fd()))?, kind)
    }

    fn reach(&self, address: &SocketAddrUnix, kind: SocketKind) -> rustix::io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, to_system(kind), flags, None)?;
        sys::set_rights(socket.as_fd(), self.rights);
        loop {
            match connect(&socket, address) {
                Ok(()) => return Ok(socket),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// The meaning of a failed attempt to connect to `path`, after examining the file there.
pub(crate) fn diagnose(path: &Path, wanted: SocketKind, errno: Errno) -> ConnectError {
    let other = |errno| from_errno(Address::Path(path.to_owned()), wanted, errno);
    match errno {
        // The file is there, so the path through `/proc` is missing.
        Errno::NOENT if !fits(path) && statat(CWD, path, AtFlags::empty()).is_ok() => {
            ConnectError::NoProc { path: path.to_owned() }
        }
        Errno::NOENT => {
            let missing = missing(path).unwrap_or_else(|| path.to_owned());
            ConnectError::NotThere { path: path.to_owned(), missing, waited: Duration::ZERO }
        }
        Errno::ACCESS => denied(path).map_or_else(|| other(errno), ConnectError::from),
        // A regular file refuses connections like a dead socket.
        Errno::CONNREFUSED => match statat(CWD, path, AtFlags::empty()).map(|stat| FileKind::of_mode(stat.st_mode)) {
            Ok(FileKind::Socket) | Err(_) => other(errno),
            Ok(kind) => ConnectError::NotASocket { path: path.to_owned(), kind },
        },
        _ => other(errno),
    }
}

fn from_errno(address: Address, wanted: SocketKind, errno: Errno) -> ConnectError {
    match errno {
        Errno::CONNREFUSED => ConnectError::NotListening { address, waited: Duration::ZERO },
        Errno::AGAIN => ConnectError::QueueFull { address, waited: Duration::ZERO },
        Errno::PROTOTYPE => ConnectError::WrongType { address, wanted },
        errno => ConnectError::Connect { address, source: errno.into() },
    }
}

/// How long we have tried, and when to try again.
#[derive(Debug)]
struct Attempts {
    began: Instant,
    deadline: Duration,
    backoff: Backoff,
}

impl Attempts {
    fn new(deadline: Duration) -> Self {
        Self { began: Instant::now(), deadline, backoff: Backoff::new(FIRST_PAUSE, LAST_PAUSE) }
    }

    /// The pause after this error, or the error if there is no time left or another attempt is pointless. The last
    /// attempt happens at the deadline.
    fn pause_after(&mut self, error: ConnectError, address: &Address) -> Result<Duration, ConnectError> {
        let passed = self.began.elapsed();
        let is_starting = self.deadline.is_zero()
            && passed < START
            && matches!(error, ConnectError::NotListening { .. })
            && is_starting(address);
        let left = if is_starting { START } else { self.deadline }.saturating_sub(passed);
        if error.is_retryable() && !left.is_zero() {
            return Ok(self.backoff.jittered(chance()).min(left));
        }
        Err(if self.deadline.is_zero() { error } else { error.after(passed) })
    }
}
