//! Connects to exactly the socket that was found before, even if another file has its name by now.
//!
//! ```text
//!   open the name O_PATH|O_NOFOLLOW ──► the file: is it the one? its owner? ──► connect to /proc/self/fd/N
//! ```
//!
//! From the first step on, everything concerns the file and not its name. Replacing the file under that name has no
//! effect, and a name that is too long for a socket address (`unix(7)`: 107 bytes) is not a problem.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect as connect_to, socket_with};

use crate::directory::Found;
use crate::facts::Facts;
use crate::file::SocketFile;
use crate::overflow;

/// Which owner of a socket file to accept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// Our own effective user, and root. In a user namespace that does not map every id, 65534 stands for every user
    /// without an id there. Files of that id do not count as ours, even if this process has that id: see
    /// [`overflow`](crate::overflow).
    #[default]
    Trusted,
    /// Only this user.
    Uid(u32),
    /// Any user: you check the listening user by other means, or it does not matter.
    Anybody,
}

impl Owner {
    /// Whether to accept a file of this user.
    pub fn admits(self, uid: u32) -> bool {
        match self {
            Self::Trusted => uid == 0 || (uid == rustix::process::geteuid().as_raw() && !overflow::is_many_users(uid)),
            Self::Uid(only) => uid == only,
            Self::Anybody => true,
        }
    }
}

/// Why connecting to a previously found socket failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No file has the socket's path any more.
    #[error("{path:?} is gone")]
    Gone {
        /// The socket's path.
        path: PathBuf,
    },
    /// Another file has the socket's path now.
    #[error("{path:?} is not the socket that was listed any more: wait for the next one")]
    Replaced {
        /// The socket's path.
        path: PathBuf,
    },
    /// The socket file belongs to a user that you do not accept.
    #[error("{path:?} belongs to user {uid}: nothing was connected to")]
    WrongOwner {
        /// The socket's path.
        path: PathBuf,
        /// The owner of the file.
        uid: u32,
    },
    /// No process listens yet, or none listens any more.
    #[error("no process listens on {path:?}")]
    Refused {
        /// The socket's path.
        path: PathBuf,
    },
    /// A process listens, and its accept queue is full.
    #[error("the accept queue of {path:?} is full: its server does not accept")]
    Busy {
        /// The socket's path.
        path: PathBuf,
    },
    /// This process has no permission to connect.
    #[error("may not connect to {path:?}: that takes permission to write to it")]
    Denied {
        /// The socket's path.
        path: PathBuf,
    },
    /// The socket is not a stream socket: it is a datagram or a seqpacket socket.
    #[error("{path:?} is not a stream socket")]
    WrongType {
        /// The socket's path.
        path: PathBuf,
    },
    /// We cannot reach a file through its descriptor.
    #[error("cannot reach {path:?} by its descriptor: mount /proc")]
    NoProc {
        /// The socket's path.
        path: PathBuf,
    },
    /// Another system call failed.
    #[error("cannot connect to {path:?}")]
    Failed {
        /// The socket's path.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

impl ConnectError {
    /// Whether the same call may succeed later without a change in the program. If the socket is gone or was replaced,
    /// whatever appears at its path is another socket.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Busy { .. } | Self::Denied { .. } | Self::Failed { .. } => true,
            Self::Gone { .. } | Self::Replaced { .. } => false,
            Self::WrongOwner { .. } | Self::WrongType { .. } | Self::NoProc { .. } => false,
        }
    }
}

/// Connects to the stream socket that `facts` describes, if it still has its path and belongs to an accepted user.
///
/// The stream is non-blocking, as `tokio::net::UnixStream::from_std` requires; otherwise call `set_nonblocking`. The
/// call itself never waits for the server: a full queue is [`ConnectError::Busy`]. It does wait for the filesystem,
/// which may be slow.
///
/// The owner of a file is the user that bound it, which is not always the user that listens. To find out that one, ask
/// the stream for its peer's credentials.
///
/// # Errors
///
/// Any of [`ConnectError`].
pub fn connect(path: &Path, facts: &Facts, owner: Owner) -> Result<UnixStream, ConnectError> {
    let file = open_same(path, facts)?;
    let uid = file.facts().uid;
    if !owner.admits(uid) {
        return Err(ConnectError::WrongOwner { path: path.to_owned(), uid });
    }
    connect_file(path, &file)
}

/// The open file keeps the kernel from reusing its inode number, so if the comparison succeeds now, it stays true.
fn open_same(path: &Path, facts: &Facts) -> Result<SocketFile, ConnectError> {
    match Found::open(path) {
        Ok(Found::Socket(file)) if file.facts().is_same_file(facts) => Ok(file),
        Ok(_) => Err(ConnectError::Replaced { path: path.to_owned() }),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(ConnectError::Gone { path: path.to_owned() })
        }
        Err(source) => Err(ConnectError::Failed { path: path.to_owned(), source }),
    }
}

fn connect_file(path: &Path, file: &SocketFile) -> Result<UnixStream, ConnectError> {
    let path = path.to_owned();
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let stream = match socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None) {
        Ok(stream) => stream,
        Err(errno) => return Err(ConnectError::Failed { path, source: errno.into() }),
    };
    let through = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    let address = SocketAddrUnix::new(&*through).expect("this is shorter than an address");
    Err(match connect_to(&stream, &address) {
        Ok(()) => return Ok(OwnedFd::into(stream)),
        // According to `unix(7)`, for a file that is known to be a socket.
        Err(Errno::CONNREFUSED) => ConnectError::Refused { path },
        Err(Errno::AGAIN) => ConnectError::Busy { path },
        Err(Errno::PROTOTYPE) => ConnectError::WrongType { path },
        Err(Errno::ACCESS | Errno::PERM) => ConnectError::Denied { path },
        // The file is open, so the path through `/proc` is missing.
        Err(Errno::NOENT | Errno::NOTDIR) => ConnectError::NoProc { path },
        Err(errno) => ConnectError::Failed { path, source: errno.into() },
    })
}
