//! Connecting to the very socket that was listed, whoever has its name by now.
//!
//! ```text
//!   open the name O_PATH|O_NOFOLLOW ──► the file: is it the one? whose? ──► connect to /proc/self/fd/N
//! ```
//!
//! From the first step on everything is about the file and not about its name: swapping the name in between leads
//! nowhere, and a name too long for a socket's address (`unix(7)`: 107 bytes) does not matter.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use socket_file::Facts;

use crate::error::Error;
use crate::socket::Socket;

/// Whose socket files are good enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// Our own effective user's, and root's.
    #[default]
    Trusted,
    /// This user's alone.
    Uid(u32),
    /// Anybody's: somebody else is asked who listens, or it does not matter.
    Anybody,
}

impl Owner {
    pub(crate) fn admits(self, uid: u32) -> bool {
        match self {
            Self::Trusted => uid == 0 || uid == rustix::process::geteuid().as_raw(),
            Self::Uid(only) => uid == only,
            Self::Anybody => true,
        }
    }
}

/// Connects to the stream socket that was announced as `socket`, if it still has its path and belongs to us or to root.
///
/// The stream is non-blocking, as `tokio::net::UnixStream::from_std` wants it; who does not, calls `set_nonblocking`. The
/// call itself never waits for the server: a full queue is [`Error::Busy`]. It looks at the filesystem, which may take its
/// time if it is a slow one.
///
/// The owner of a file is who bound it, which is not always who listens: to know that, ask the stream for its peer's
/// credentials.
///
/// # Errors
///
/// [`Error::Gone`], [`Error::Replaced`], [`Error::WrongOwner`], [`Error::Refused`], [`Error::Busy`], [`Error::Denied`],
/// [`Error::WrongType`]; [`Error::NoProc`] where `/proc` is not mounted; [`Error::Connect`] for the rest.
///
/// ```
/// use fs_watch::{Event, Watcher, connect_at};
/// # use std::os::unix::net::UnixListener;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let _listener = UnixListener::bind(dir.path().join("a.sock"))?;
/// # let mut watcher = Watcher::start(dir.path()).await?;
/// while let Some(event) = watcher.next().await {
///     if let Event::InitApply(socket) | Event::Added(socket) = event {
///         let stream = tokio::net::UnixStream::from_std(connect_at(&socket)?)?;
///         # drop(stream);
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub fn connect_at(socket: &Socket) -> Result<UnixStream, Error> {
    connect_at_owned_by(socket, Owner::Trusted)
}

/// The same for a socket whose file has another owner.
///
/// # Errors
///
/// As [`connect_at`].
pub fn connect_at_owned_by(socket: &Socket, owner: Owner) -> Result<UnixStream, Error> {
    let Socket { path, facts, .. } = socket;
    let (file, now) = open_same(path, facts)?;
    if !owner.admits(now.uid) {
        return Err(Error::WrongOwner { path: path.clone(), uid: now.uid });
    }
    connect_file(path, &file)
}

/// Opens the file without a right to anything but to speak of it, if it is the one that `facts` tell of; and what is to
/// be told of it now.
fn open_same(path: &Path, facts: &Facts) -> Result<(File, Facts), Error> {
    let file = match openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(Error::Gone { path: path.to_owned() }),
        Err(errno) => return Err(failed(path, errno)),
    };
    // The open file keeps the inode's number from being used again: what is found equal now stays so.
    let metadata = file.metadata().map_err(|source| Error::Connect { path: path.to_owned(), source })?;
    let now = Facts::of(&metadata);
    if metadata.file_type().is_socket() && now.is_same_file(facts) {
        Ok((file, now))
    } else {
        Err(Error::Replaced { path: path.to_owned() })
    }
}

fn connect_file(path: &Path, file: &File) -> Result<UnixStream, Error> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let stream =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(|errno| failed(path, errno))?;
    let through = format!("/proc/self/fd/{}", file.as_raw_fd());
    let address = SocketAddrUnix::new(&*through).expect("this is shorter than an address");
    match connect(&stream, &address) {
        Ok(()) => Ok(OwnedFd::into(stream)),
        // `unix(7)`: what says so of a file that is known to be a socket.
        Err(Errno::CONNREFUSED) => Err(Error::Refused { path: path.to_owned() }),
        Err(Errno::AGAIN) => Err(Error::Busy { path: path.to_owned() }),
        Err(Errno::PROTOTYPE) => Err(Error::WrongType { path: path.to_owned() }),
        Err(Errno::ACCESS | Errno::PERM) => Err(Error::Denied { path: path.to_owned() }),
        // The file is open, so it is the way to it that is missing.
        Err(Errno::NOENT | Errno::NOTDIR) => Err(Error::NoProc { path: path.to_owned() }),
        Err(errno) => Err(failed(path, errno)),
    }
}

fn failed(path: &Path, errno: Errno) -> Error {
    Error::Connect { path: path.to_owned(), source: errno.into() }
}
