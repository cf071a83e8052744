//! Errors, one type for each kind of call. They contain the facts, and what to do.

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
    /// The text as given.
    pub text: String,
}

/// Why an address cannot be a socket's, regardless of the filesystem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The path cannot be the name of a socket.
    #[error("{path:?} cannot name a socket: {fault}")]
    InvalidPath {
        /// The path as given.
        path: PathBuf,
        /// What is wrong with the path.
        fault: PathFault,
    },

    /// An abstract name is empty, or does not fit into a socket address.
    #[error("an abstract name has 1 to {max} bytes, not {len}")]
    InvalidAbstractName {
        /// Its length in bytes.
        len: usize,
        /// The maximum length in bytes.
        max: usize,
    },

    /// The path, or its last component, is longer than the kernel allows even through `/proc/self/fd`.
    #[error("{path:?}: {len} bytes where {max} are possible; use a shorter name or a directory nearer to the root")]
    PathTooLong {
        /// The path as given.
        path: PathBuf,
        /// Length in bytes of the path, or of its last component if that is the one that is too long.
        len: usize,
        /// The maximum length in bytes.
        max: usize,
    },
}

/// A component of the path denies access to this process, or the socket itself denies writing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{component:?} (mode {mode:04o}, uid {uid}, gid {gid}) does not let this process {}",
    if *.component == *.path { "write to the socket" } else { "pass through" }
)]
#[non_exhaustive]
pub struct Denied {
    /// The requested socket.
    pub path: PathBuf,
    /// The component that denies access.
    pub component: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Why a socket could not be bound, taken over from the service manager, or bound again.
///
/// Display is the text to print after "failed:". If the operating system gave a reason, it is the
/// [source](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// No socket can have this address.
    #[error(transparent)]
    Address(#[from] AddressError),

    /// The directory for the socket does not exist, or is not a directory.
    #[error("there is no directory {directory:?} for a socket to be in; create it first")]
    NoDirectory {
        /// The directory.
        directory: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },

    /// A component of the path denies this process access to the directory.
    #[error(transparent)]
    Denied(#[from] Denied),

    /// Other users may rename and delete files in this directory, so no name in it can be trusted.
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

    /// The name belongs to a file that is not a socket. It was left alone.
    #[error("{path:?} is {kind}, not a socket; it was left alone")]
    NotASocket {
        /// The path.
        path: PathBuf,
        /// The kind of the file.
        kind: FileKind,
    },

    /// Another process, or another listener of this one, holds the lock beside the socket.
    #[error("{path:?} is taken: {} holds the lock {lock:?}", holder(*.pid))]
    Locked {
        /// The socket.
        path: PathBuf,
        /// The lock file beside it.
        lock: PathBuf,
        /// The process that holds the lock, as it recorded itself (in its own pid namespace).
        pid: Option<u32>,
    },

    /// The lock file cannot be one that this process made. It was left alone.
    #[error("the lock file {lock:?} cannot be trusted: {fault}; find out who made it and remove it")]
    ForeignLock {
        /// The lock file.
        lock: PathBuf,
        /// What is wrong with the file.
        fault: LockFault,
    },

    /// A server has this name without holding our lock, or may be about to have it.
    #[error("{path:?} is taken: the socket is {liveness}")]
    InUse {
        /// The socket.
        path: PathBuf,
        /// What we found out about the server.
        liveness: Liveness,
    },

    /// A socket without an apparent server is in the way, on a filesystem that may hide the server. It was left alone.
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

    /// A file is mounted over the name, for example because a container was given a single socket instead of its
    /// directory. The name cannot be given to another socket.
    #[error("{path:?} is a mount point: mount the directory that holds the socket instead of the socket")]
    MountPoint {
        /// The path.
        path: PathBuf,
    },

    /// Other processes replaced the name repeatedly while we were binding it.
    #[error("{path:?} changes hands faster than it can be taken ({attempts} attempts)")]
    Contended {
        /// The socket.
        path: PathBuf,
        /// The number of attempts.
        attempts: u32,
    },

    /// We could not find out whether a server has the socket at this path.
    #[error("could not find out who serves {address}")]
    Examine {
        /// The address.
        address: Address,
        /// The operating system's error.
        source: io::Error,
    },

    /// A system call failed while a listening socket was being set up.
    #[error("could not {doing} {address}")]
    Bind {
        /// The address.
        address: Address,
        /// What the system call was to do.
        doing: &'static str,
        /// The operating system's error.
        source: io::Error,
    },

    /// A mode, owner or group was requested for an address for which we create no file.
    #[error("{address} has no file of ours that a mode, owner or group could be set on")]
    NoFile {
        /// The address.
        address: Address,
    },

    /// The service manager passed no socket with this name.
    #[error("no socket named {name:?} was passed by the service manager (passed: {passed:?})")]
    NotPassed {
        /// The requested name.
        name: String,
        /// The names that were passed.
        passed: Vec<String>,
    },

    /// The service manager passed several sockets with this name.
    #[error(
        "{count} sockets named {name:?} were passed; give each its own FileDescriptorName=, or serve all (`listen_all`)"
    )]
    PassedTwice {
        /// The requested name.
        name: String,
        /// The number of sockets.
        count: usize,
    },

    /// What the service manager passed under this name is not a Unix socket of the requested kind, or does not listen.
    #[error(
        "descriptor {fd} passed as {name:?} is not a {}Unix {wanted} socket",
        if *.wanted == SocketKind::Datagram { "" } else { "listening " }
    )]
    NotAListener {
        /// The requested name.
        name: String,
        /// The descriptor's number.
        fd: i32,
        /// The requested kind.
        wanted: SocketKind,
    },

    /// There is no tokio runtime with I/O to own the socket. Calls that need no runtime never return this.
    #[error(transparent)]
    NoRuntime(#[from] NoRuntime),
}

impl BindError {
    /// Whether the same call may succeed later without a change in a program or a configuration.
    pub fn is_retryable(&self) -> bool {
        // No wildcard: a new variant must be classified.
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

/// Why a connection to a server failed.
///
/// Display is the text to print after "failed:". If the operating system gave a reason, it is the
/// [source](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No socket can have this address.
    #[error(transparent)]
    Address(#[from] AddressError),

    /// No file has this name.
    #[error("there is no {missing:?}{}; start its server, or wait for it", after(*.waited))]
    NotThere {
        /// The requested socket.
        path: PathBuf,
        /// The first component of the path that is missing.
        missing: PathBuf,
        /// How long we waited for it.
        waited: Duration,
    },

    /// The path is longer than a socket address allows (107 bytes, `unix(7)`), and `/proc`, which is needed to reach
    /// such a file, is not mounted.
    #[error("{path:?} is too long for a socket's address and cannot be reached by its descriptor: mount /proc")]
    NoProc {
        /// The requested socket.
        path: PathBuf,
    },

    /// The name belongs to a file that is not a socket.
    #[error("{path:?} is {kind}, not a socket")]
    NotASocket {
        /// The path.
        path: PathBuf,
        /// The kind of the file.
        kind: FileKind,
    },

    /// There is a socket, but no process listens on it.
    #[error("no process is listening on {address}{}; start its server, or wait for it", after(*.waited))]
    NotListening {
        /// The socket.
        address: Address,
        /// How long we waited for it.
        waited: Duration,
    },

    /// The server's accept queue is full: the server is busy or stuck.
    #[error("the accept queue of {address} is full{}: its server is busy or stuck; try again later", after(*.waited))]
    QueueFull {
        /// The socket.
        address: Address,
        /// How long we waited for it.
        waited: Duration,
    },

    /// A component of the path denies access to this process, or the socket itself denies writing.
    #[error(transparent)]
    Denied(#[from] Denied),

    /// The socket is not of the requested kind.
    #[error("{address} is not a {wanted} socket")]
    WrongType {
        /// The socket.
        address: Address,
        /// The requested kind.
        wanted: SocketKind,
    },

    /// Connecting failed for another reason.
    #[error("could not connect to {address}")]
    Connect {
        /// The address.
        address: Address,
        /// The operating system's error.
        source: io::Error,
    },

    /// There is no tokio runtime with I/O to own the socket. Calls that need no runtime never return this.
    #[error(transparent)]
    NoRuntime(#[from] NoRuntime),
}

impl ConnectError {
    /// Whether the same call may succeed later without a change in a program or a configuration.
    pub fn is_retryable(&self) -> bool {
        // No wildcard: a new variant must be classified.
        match self {
            Self::Address(_)
            | Self::NoProc { .. }
            | Self::NotASocket { .. }
            | Self::Denied(_)
            | Self::WrongType { .. }
            | Self::NoRuntime(_) => false,
            Self::NotThere { .. } | Self::NotListening { .. } | Self::QueueFull { .. } => true,
            Self::Connect { source, .. } => passes(source),
        }
    }

    /// The error of the last attempt, with the time since the first one.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        if let Self::NotThere { waited, .. } | Self::NotListening { waited, .. } | Self::QueueFull { waited, .. } =
            &mut self
        {
            *waited = time;
        }
        self
    }
}

/// Why we could not find out whether a socket has a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// No socket can have this address.
    #[error(transparent)]
    Address(#[from] AddressError),

    /// No file has this name.
    #[error("there is no {missing:?}")]
    NotThere {
        /// The requested socket.
        path: PathBuf,
        /// The first component of the path that is missing.
        missing: PathBuf,
    },

    /// The name belongs to a file that is not a socket.
    #[error("{path:?} is {kind}, not a socket")]
    NotASocket {
        /// The path.
        path: PathBuf,
        /// The kind of the file.
        kind: FileKind,
    },

    /// A component of the path denies access to this process.
    #[error(transparent)]
    Denied(#[from] Denied),

    /// The system did not answer, for example because we may not write to the socket.
    #[error("could not find out who serves {path:?}")]
    Failed {
        /// The requested socket.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

/// The listening socket is broken. Accepting again gives the same error.
#[derive(Debug, thiserror::Error)]
#[error("could not accept on {address}")]
#[non_exhaustive]
pub struct AcceptError {
    /// The address.
    pub address: Address,
    /// The operating system's error.
    pub source: io::Error,
}

/// The kernel did not identify the peer. The connection can still carry bytes.
#[derive(Debug, thiserror::Error)]
#[error("could not identify the peer")]
#[non_exhaustive]
pub struct PeerError {
    /// The operating system's error.
    pub source: io::Error,
}

/// There is no tokio runtime with I/O to own the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a listener or stream needs a tokio runtime: call this from within one")]
#[non_exhaustive]
pub struct NoRuntime;

/// What is wrong with a path, regardless of the filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathFault {
    /// It has no bytes.
    Empty,
    /// It contains a zero byte, which would end it for the kernel.
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

/// Shortages of descriptors and memory are temporary.
fn passes(source: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(source),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::INTR | Errno::AGAIN)
    )
}
