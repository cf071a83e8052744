//! Reaching a server: at once or within a deadline, and when it fails, saying what is in the way.

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
use crate::address::{Address, SocketKind};
use crate::backoff::{Backoff, chance};
use crate::denied::{denied, missing};
use crate::error::ConnectError;
use crate::path::{check, descriptor_path, fits};
use crate::sys::{self, Rights};

use self::starting::{START, is_starting};

/// The pauses between attempts: short enough that a restart is hardly noticed, long enough not to be a load.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// How to reach a server's socket.
///
/// Without a deadline there is one attempt, and a clear error, with one exception. The name of a socket exists after
/// `bind`, and the server listens only with its next system call. If the socket's file is younger than two seconds, and
/// the kernel says that it is bound and does not listen, `Connect` therefore tries again for up to 200 ms. (The kernel
/// does not say this of abstract names, so there it fails at once.)
///
/// With a deadline, `Connect` waits out everything that a restart looks like from outside: no file, a socket that does
/// not listen, a full accept queue. The pauses between attempts grow and are jittered. Other errors still fail at once.
///
/// Each attempt is non-blocking: a server that is stuck with a full queue (on which a plain `connect` waits for ever)
/// cannot hold it up. Whether the server *answers* is another matter, and for the protocol above to find out.
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
    /// An address known as a value; one from the service manager cannot be connected to.
    pub fn to(address: Address) -> Self {
        Self { address, deadline: Duration::ZERO, rights: Rights::Refused }
    }

    /// A name in the file system, of up to 4095 bytes.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::to(Address::Path(path.into()))
    }

    /// A name of 1 to 107 bytes in the abstract table of the network namespace.
    pub fn abstract_name(name: impl Into<Vec<u8>>) -> Self {
        Self::to(Address::Abstract(name.into()))
    }

    /// How long to try for, counted from the call; zero unless set, which means once.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Lets the server send descriptors (`SCM_RIGHTS`), for a connection that becomes
    /// `uds_actor::Actor::pass_descriptors`.
    ///
    /// Without it the kernel refuses descriptors with `EPERM` where they are sent (`SO_PASSRIGHTS`, Linux 6.16).
    pub fn pass_descriptors(mut self) -> Self {
        self.rights = Rights::Accepted;
        self
    }

    fn failed(&self, source: std::io::Error) -> ConnectError {
        ConnectError::Connect { address: self.address.clone(), source }
    }

    /// Connects on the calling thread and without a runtime; the stream blocks.
    ///
    /// # Errors
    /// Waited out up to the deadline: [`ConnectError::NotThere`], [`ConnectError::NobodyListening`], [`ConnectError::QueueFull`], and
    /// [`ConnectError::Connect`] for a shortage of descriptors or memory. At once: [`ConnectError::Address`],
    /// [`ConnectError::NotASocket`], [`ConnectError::WrongType`],
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
        // Any path can be opened, and what is open can be named in a few bytes.
        let file = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        self.reach(&SocketAddrUnix::new(descriptor_path(file.as_fd()))?, kind)
    }

    fn reach(&self, address: &SocketAddrUnix, kind: SocketKind) -> rustix::io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, kind.to_system(), flags, None)?;
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

/// What a failed attempt to reach `path` means, looking at what is there.
pub(crate) fn diagnose(path: &Path, wanted: SocketKind, errno: Errno) -> ConnectError {
    let other = |errno| from_errno(Address::Path(path.to_owned()), wanted, errno);
    match errno {
        // The file is there, so it is the way to it that is missing.
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
        Errno::CONNREFUSED => ConnectError::NobodyListening { address, waited: Duration::ZERO },
        Errno::AGAIN => ConnectError::QueueFull { address, waited: Duration::ZERO },
        Errno::PROTOTYPE => ConnectError::WrongType { address, wanted },
        errno => ConnectError::Connect { address, source: errno.into() },
    }
}

/// How long it has been tried, and when to try again.
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

    /// How long to pause after this error, or the error if there is no time left or no point in it. The last
    /// attempt is made when the deadline has come.
    fn pause_after(&mut self, error: ConnectError, address: &Address) -> Result<Duration, ConnectError> {
        let passed = self.began.elapsed();
        let is_starting = self.deadline.is_zero()
            && passed < START
            && matches!(error, ConnectError::NobodyListening { .. })
            && is_starting(address);
        let left = if is_starting { START } else { self.deadline }.saturating_sub(passed);
        if error.is_retryable() && !left.is_zero() {
            return Ok(self.backoff.jittered(chance()).min(left));
        }
        Err(if self.deadline.is_zero() { error } else { error.after(passed) })
    }
}
