//! Connects to exactly the socket that was listed, even if another file has its name by now.
//!
//! ```text
//!   open the name O_PATH|O_NOFOLLOW ──► the file: is it the one? whose? ──► connect to /proc/self/fd/N
//! ```
//!
//! From the first step on everything concerns the file and not its name. Swapping the name in between has no effect,
//! and a name that is too long for a socket's address (`unix(7)`: 107 bytes) is not a problem.

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

/// Which owner of a socket file to accept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// Our own effective user, and root.
    #[default]
    Trusted,
    /// Only this user.
    Uid(u32),
    /// Any user: you check by other means which user listens, or it does not matter.
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
/// The stream is non-blocking, as `tokio::net::UnixStream::from_std` requires; call `set_nonblocking` if you need a
/// blocking one. The call itself never waits for the server: a full queue is [`Error::Busy`]. It does query the
/// filesystem, which may be slow.
///
/// The owner of a file is the user who bound it, which is not always the user who listens. If you need to know that,
/// ask the stream for its peer's credentials.
///
/// # Errors
///
/// [`Error::Gone`], [`Error::Replaced`], [`Error::WrongOwner`], [`Error::Refused`], [`Error::Busy`], [`Error::Denied`],
/// [`Error::WrongType`]; [`Error::NoProc`] if `/proc` is not mounted; [`Error::Connect`] for everything else.
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

/// Like [`connect_at`], for a socket whose file has another owner.
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

/// Opens the file without any right to its contents (`O_PATH`), if it is the one that `facts` describe. Also returns
/// its current facts.
fn open_same(path: &Path, facts: &Facts) -> Result<(File, Facts), Error> {
    let file = match openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(Error::Gone { path: path.to_owned() }),
        Err(errno) => return Err(failed(path, errno)),
    };
    // The open file keeps the inode number from being reused, so files that are equal now stay equal.
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
        // What `unix(7)` returns for a file that is known to be a socket.
        Err(Errno::CONNREFUSED) => Err(Error::Refused { path: path.to_owned() }),
        Err(Errno::AGAIN) => Err(Error::Busy { path: path.to_owned() }),
        Err(Errno::PROTOTYPE) => Err(Error::WrongType { path: path.to_owned() }),
        Err(Errno::ACCESS | Errno::PERM) => Err(Error::Denied { path: path.to_owned() }),
        // The file is open, so the path to its descriptor is missing.
        Err(Errno::NOENT | Errno::NOTDIR) => Err(Error::NoProc { path: path.to_owned() }),
        Err(errno) => Err(failed(path, errno)),
    }
}

fn failed(path: &Path, errno: Errno) -> Error {
    Error::Connect { path: path.to_owned(), source: errno.into() }
}
