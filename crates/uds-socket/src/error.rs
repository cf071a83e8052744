//! What can go wrong, one type for each kind of call: with the facts, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use lock_file::{Fault as LockFault, FileKind};
use socket_file::Liveness;

use crate::address::{Address, SocketKind};

/// A mode that is not three octal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a mode: write three octal digits, such as 660")]
#[non_exhaustive]
pub struct InvalidMode {
    /// What was given.
    pub text: String,
}

/// Why an address cannot be a socket's, whatever is in the file system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// A path that cannot name a socket.
    #[error("{path:?} cannot name a socket: {fault}")]
    InvalidPath {
        /// What was given.
        path: PathBuf,
        /// What is wrong with it.
        fault: PathFault,
    },

    /// An abstract name that is empty or does not fit into a socket address.
    #[error("an abstract name has 1 to {max} bytes, not {len}")]
    InvalidAbstractName {
        /// Its length in bytes.
        len: usize,
        /// The longest possible one in bytes.
        max: usize,
    },

    /// A path, or its last component, that is longer than the kernel takes even through `/proc/self/fd`.
    #[error("{path:?}: {len} bytes where {max} are possible; use a shorter name or a directory nearer to the root")]
    PathTooLong {
        /// What was given.
        path: PathBuf,
        /// Length in bytes of the path, or of its last component when that is what is too long.
        len: usize,
        /// The longest possible one in bytes.
        max: usize,
    },
}

/// A component of the path denies this process the way, or the socket denies it writing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{component:?} (mode {mode:04o}, uid {uid}, gid {gid}) does not let this process {}",
    if *.component == *.path { "write to the socket" } else { "pass through" }
)]
#[non_exhaustive]
pub struct Denied {
    /// The socket asked for.
    pub path: PathBuf,
    /// The component that denies.
    pub component: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Why a socket could not be bound, taken from the service manager, or bound again.
///
/// The Display form is what to print after "failed:"; where the system gave a reason it is the
/// [source](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// No socket can have this address.
    #[error(transparent)]
    Address(#[from] AddressError),

    /// The directory the socket should be in is not there, or is not a directory.
    #[error("there is no directory {directory:?} for a socket to be in; create it first")]
    NoDirectory {
        /// The directory.
        directory: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },

    /// A component of the path denies this process the way.
    #[error(transparent)]
    Denied(#[from] Denied),

    /// Others may rename and delete in this directory, so that no name in it can be trusted.
    #[error(
        "others may replace files in {directory:?} (mode {mode:04o}); take away their write permission \
         (`chmod go-w`) or set the sticky bit (`chmod +t`)"
    )]
    SharedDirectory {
        /// The directory.
        directory: PathBuf,
        /// Its permission bits.
        mode: u32,
    },

    /// The name is taken by something that is not a socket; it was left alone.
    #[error("{path:?} is {kind}, not a socket; it was left alone")]
    NotASocket {
        /// The name.
        path: PathBuf,
        /// What it is.
        kind: FileKind,
    },

    /// Another process, or another listener of this one, holds the lock beside the socket.
    #[error("{path:?} is taken: {} holds the lock {lock:?}", holder(*.pid))]
    Locked {
        /// The socket.
        path: PathBuf,
        /// The lock file beside it.
        lock: PathBuf,
        /// The process that holds it, as it wrote it down (in its own pid namespace).
        pid: Option<u32>,
    },

    /// The lock file is not one this process could have made; it was left alone.
    #[error("the lock file {lock:?} cannot be trusted: {fault}; find out who made it and remove it")]
    ForeignLock {
        /// The lock file.
        lock: PathBuf,
        /// What is wrong with it.
        fault: LockFault,
    },

    /// A server has this name without holding our lock, or may be about to.
    #[error("{path:?} is taken: the socket is {liveness}")]
    InUse {
        /// The socket.
        path: PathBuf,
        /// What was found out about it.
        liveness: Liveness,
    },

    /// A socket is in the way that nothing seems to serve, on a filesystem that may hide its server; it was left alone.
    #[error(
        "{path:?} exists and seems stale, but on this filesystem ({filesystem}) its server may be hidden from this kernel; \
         remove it yourself, or allow it with `any_filesystem`"
    )]
    ForeignFilesystem {
        /// The socket.
        path: PathBuf,
        /// The filesystem.
        filesystem: &'static str,
    },

    /// A file is mounted over the name, as when a container is given a single socket instead of its directory. The name
    /// cannot be given to another socket.
    #[error("{path:?} is a mount point: mount the directory that holds the socket instead of the socket")]
    MountPoint {
        /// The name.
        path: PathBuf,
    },

    /// Others replaced the name again and again while it was being taken.
    #[error("{path:?} changes hands faster than it can be taken ({attempts} attempts)")]
    Contended {
        /// The socket.
        path: PathBuf,
        /// How often it was tried.
        attempts: u32,
    },

    /// Whether a server has the socket at this path could not be found out.
    #[error("could not find out who serves {address}")]
    Examine {
        /// Where.
        address: Address,
        /// What the kernel said.
        source: io::Error,
    },

    /// A system call on the way to a listening socket failed.
    #[error("could not {doing} {address}")]
    Bind {
        /// Where.
        address: Address,
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },

    /// Mode, owner or group were asked for where no file is that could have them.
    #[error("{address} has no file of ours that a mode, owner or group could be set on")]
    NoFile {
        /// Where.
        address: Address,
    },

    /// The service manager passed no socket of this name.
    #[error("no socket named {name:?} was passed by the service manager (passed: {passed:?})")]
    NotPassed {
        /// The name asked for.
        name: String,
        /// The names that were passed.
        passed: Vec<String>,
    },

    /// The service manager passed several sockets of this name.
    #[error(
        "{count} sockets named {name:?} were passed; give each its own FileDescriptorName=, or serve all (`listen_all`)"
    )]
    PassedTwice {
        /// The name asked for.
        name: String,
        /// How many there are.
        count: usize,
    },

    /// What the service manager passed under this name is not a Unix socket of the kind asked for, or does not listen.
    #[error(
        "descriptor {fd} passed as {name:?} is not a {}Unix {wanted} socket",
        if *.wanted == SocketKind::Datagram { "" } else { "listening " }
    )]
    NotAListener {
        /// The name asked for.
        name: String,
        /// The descriptor's number.
        fd: i32,
        /// What was asked for.
        wanted: SocketKind,
    },

    /// There is no tokio runtime with I/O here that could own the socket.
    #[error(transparent)]
    NoRuntime(#[from] NoRuntime),
}

impl BindError {
    /// Whether the same call may succeed later although nobody changes a program or a configuration.
    pub fn is_retryable(&self) -> bool {
        // Without a wildcard: a new error does not compile without an answer.
        match self {
            Self::Address(_)
            | Self::NoDirectory { .. }
            | Self::Denied(_)
            | Self::SharedDirectory { .. }
            | Self::NotASocket { .. }
            | Self::ForeignLock { .. }
            | Self::ForeignFilesystem { .. }
            | Self::MountPoint { .. }
            | Self::NoFile { .. }
            | Self::NotPassed { .. }
            | Self::PassedTwice { .. }
            | Self::NotAListener { .. }
            | Self::NoRuntime(_) => false,
            Self::Locked { .. } | Self::InUse { .. } | Self::Contended { .. } => true,
            Self::Bind { source, .. } | Self::Examine { source, .. } => passes(source),
        }
    }
}

/// Why a server could not be connected to.
///
/// The Display form is what to print after "failed:"; where the system gave a reason it is the
/// [source](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No socket can have this address.
    #[error(transparent)]
    Address(#[from] AddressError),

    /// There is nothing of that name.
    #[error("there is no {missing:?}{}; start its server, or wait for it", after(*.waited))]
    NotThere {
        /// The socket asked for.
        path: PathBuf,
        /// The first component of it that is missing.
        missing: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },

    /// The path is longer than a socket's address may be (107 bytes, `unix(7)`), and `/proc`, through which such a file is
    /// reached, is not mounted.
    #[error("{path:?} is too long for a socket's address and cannot be reached by its descriptor: mount /proc")]
    NoProc {
        /// The socket asked for.
        path: PathBuf,
    },

    /// The name is taken by something that is not a socket; it cannot be connected to.
    #[error("{path:?} is {kind}, not a socket")]
    NotASocket {
        /// The name.
        path: PathBuf,
        /// What it is.
        kind: FileKind,
    },

    /// There is a socket, and nobody listens on it.
    #[error("nobody is listening on {address}{}; start its server, or wait for it", after(*.waited))]
    NobodyListening {
        /// The socket.
        address: Address,
        /// How long it was waited for.
        waited: Duration,
    },

    /// The server's accept queue is full: it is busy or stuck.
    #[error("the accept queue of {address} is full{}: its server is busy or stuck; try again later", after(*.waited))]
    QueueFull {
        /// The socket.
        address: Address,
        /// How long it was waited for.
        waited: Duration,
    },

    /// A component of the path denies this process the way, or the socket denies it writing.
    #[error(transparent)]
    Denied(#[from] Denied),

    /// The socket is of another kind than was asked for.
    #[error("{address} is not a {wanted} socket")]
    WrongType {
        /// The socket.
        address: Address,
        /// What was asked for.
        wanted: SocketKind,
    },

    /// Connecting failed in a way that has no better name here.
    #[error("could not connect to {address}")]
    Connect {
        /// Where.
        address: Address,
        /// What the kernel said.
        source: io::Error,
    },

    /// There is no tokio runtime with I/O here that could own the socket.
    #[error(transparent)]
    NoRuntime(#[from] NoRuntime),
}

impl ConnectError {
    /// Whether the same call may succeed later although nobody changes a program or a configuration.
    pub fn is_retryable(&self) -> bool {
        // Without a wildcard: a new error does not compile without an answer.
        match self {
            Self::Address(_)
            | Self::NoProc { .. }
            | Self::NotASocket { .. }
            | Self::Denied(_)
            | Self::WrongType { .. }
            | Self::NoRuntime(_) => false,
            Self::NotThere { .. } | Self::NobodyListening { .. } | Self::QueueFull { .. } => true,
            Self::Connect { source, .. } => passes(source),
        }
    }

    /// The error of the last of several attempts, which says how long there were attempts.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        if let Self::NotThere { waited, .. } | Self::NobodyListening { waited, .. } | Self::QueueFull { waited, .. } =
            &mut self
        {
            *waited = time;
        }
        self
    }
}

/// Why it could not be found out whether a socket has a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// No socket can have this address.
    #[error(transparent)]
    Address(#[from] AddressError),

    /// There is nothing of that name.
    #[error("there is no {missing:?}")]
    NotThere {
        /// The socket asked for.
        path: PathBuf,
        /// The first component of it that is missing.
        missing: PathBuf,
    },

    /// The name is that of something that is not a socket.
    #[error("{path:?} is {kind}, not a socket")]
    NotASocket {
        /// The name.
        path: PathBuf,
        /// What it is.
        kind: FileKind,
    },

    /// A component of the path denies this process the way.
    #[error(transparent)]
    Denied(#[from] Denied),

    /// The system did not answer, as for a socket that we may not write to.
    #[error("could not find out who serves {path:?}")]
    Failed {
        /// The socket asked for.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The listening socket is broken; accepting again gives the same.
#[derive(Debug, thiserror::Error)]
#[error("could not accept on {address}")]
#[non_exhaustive]
pub struct AcceptError {
    /// Where.
    pub address: Address,
    /// What the kernel said.
    pub source: io::Error,
}

/// The kernel would not say who is at the other end. Bytes can still flow on the connection.
#[derive(Debug, thiserror::Error)]
#[error("could not learn who is at the other end")]
#[non_exhaustive]
pub struct PeerError {
    /// What the kernel said.
    pub source: io::Error,
}

/// There is no tokio runtime with I/O here that could own the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a listener or stream needs a tokio runtime: call this from within one")]
#[non_exhaustive]
pub struct NoRuntime;

/// What is wrong with a path, seen without looking at the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathFault {
    /// It has no bytes.
    Empty,
    /// It contains a zero byte, where the kernel would cut it off.
    Nul,
    /// It ends in `/`, `.` or `..`, which name directories.
    NamesADirectory,
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::Nul => "it contains a zero byte",
            Self::NamesADirectory => "it names a directory",
        })
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

fn after(waited: Duration) -> String {
    if waited.is_zero() { String::new() } else { format!(" after {waited:.1?}") }
}

/// Shortages of descriptors and memory pass by themselves.
fn passes(source: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(source),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::INTR | Errno::AGAIN)
    )
}
