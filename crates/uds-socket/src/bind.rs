//! Binding an address: a path, an abstract name, or a socket from the service manager.

pub(crate) mod activation;
pub(crate) mod directory;
mod file_options;
pub(crate) mod publish;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::Stat;
use rustix::io::ioctl_fionbio;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, socket_with};

use self::directory::{Directory, Exceptions};
use self::file_options::FileOptions;
use self::publish::{NameLock, Published};
use crate::abstract_name::abstract_address;
use crate::address::{Address, SocketKind, to_system};
use crate::admit::Admit;
use crate::error::BindError;
use crate::mode::Mode;
use crate::path::SocketPath;
use crate::sys::{self, Rights};
use crate::warning::Warning;

/// How many connections may wait to be accepted, unless [`Bind::backlog`] sets it.
const BACKLOG: u32 = 1024;

/// An address to listen on, and how to bind it.
///
/// A path is bound in these steps, and a crash at any point leaves nothing that blocks the next start. (If a stale
/// socket must not be removed, see below, the next start finds it under its name and returns an error.)
///
/// ```text
///  .x.sock.lock   locked while the listener exists, then removed         → BindError::Locked names the holder
///  x.sock         examined: not a socket, or live? left alone            → BindError::NotASocket, BindError::InUse
/// |  .x.sock.old    gets its name back if a crash has left it here, or is removed if it is stale and the name is taken; a
/// |                 stale x.sock is moved here, examined again, and removed, or moved back if it is not the same file
///  .x.sock.older  the same where .x.sock.old is a live socket
///  x.sock         bound, with a mode no wider than requested; listening; then owner and mode as requested
/// ```
///
/// We bind to the final name, so the kernel's name for the socket (`getsockname`, `ss`, `lsof`, `/proc/net/unix`) is
/// its absolute path. If the path is longer than 107 bytes, the kernel's name goes through a descriptor of the
/// directory (`/proc/self/fd/N/x.sock`), and is shortened if the file name alone does not fit. Such a path requires
/// `/proc`.
///
/// `bind(2)` creates the name, and `listen(2)` is the very next system call. In the 10 to 50 µs between them, a client
/// gets `ECONNREFUSED`, and no system call closes that gap. If a name has just appeared, a client should therefore try
/// again for a moment, as [`Connect`](crate::Connect) does. No client ever reaches a socket with a wider mode than you
/// requested.
///
/// A socket is stale if no socket is bound to its file in any network namespace. We find that out with a lookup in the
/// kernel, which no server notices. A stale socket is left alone if its server may be hidden from this kernel, as on
/// FUSE, overlay, network and unknown filesystems (see [`any_filesystem`](Self::any_filesystem)).
///
/// A directory in which other users may rename files (writable by group or others, and not sticky) is rejected, because
/// none of this would hold there (see [`in_shared_directory`](Self::in_shared_directory)). The directory's owner can
/// rename files in it, too. We trust that user not to, and that user cannot make us touch a file that is not ours.
///
/// ```
/// use uds_socket::{Bind, Connect, Mode};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("in.sock");
/// let mut listener = Bind::path(&path).mode(Mode::octal("660")?).listen()?;
///
/// let client = Connect::path(&path).connect().await?;
/// let (server, peer) = listener.accept().await?;
/// assert_eq!(peer.pid(), Some(std::process::id()));
/// # drop((client, server));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "call `listen`, or one of the similar methods"]
pub struct Bind {
    address: Address,
    file: FileOptions,
    backlog: u32,
    /// By default, what the file's mode permits.
    admit: Option<Admit>,
    rights: Rights,
    exceptions: Exceptions,
}

/// An address that was bound: the basis of a listener or a datagram socket.
pub(crate) struct Taken<W> {
    pub(crate) socket: W,
    pub(crate) bind: Bind,
    pub(crate) admit: Admit,
    pub(crate) name: Option<Published>,
    pub(crate) lock: Option<NameLock>,
    pub(crate) warnings: Vec<Warning>,
}

impl Bind {
    /// A path in the filesystem.
    ///
    /// Up to 4095 bytes, the last component up to 249. Other programs may be unable to connect to a path of more than
    /// 107 bytes; [`Connect`](crate::Connect) can.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::at(Address::Path(path.into()))
    }

    /// A name of 1 to 107 bytes in the abstract namespace of the network namespace (`unix(7)`).
    ///
    /// It vanishes with the process and has no permissions: only [`admit`](Self::admit) restricts access.
    pub fn abstract_name(name: impl Into<Vec<u8>>) -> Self {
        Self::at(Address::Abstract(name.into()))
    }

    /// The listening socket that the service manager passed under this name (`sd_listen_fds(3)`, `FileDescriptorName=`
    /// in `systemd.socket(5)`).
    ///
    /// It belongs to the service manager: its file is neither removed nor changed, and connections that were not
    /// accepted at shutdown are left to the next instance. The environment is read, but not changed.
    pub fn systemd(name: impl Into<String>) -> Self {
        Self::at(Address::Systemd(name.into()))
    }

    /// The address given as a value.
    pub fn at(address: Address) -> Self {
        Self {
            address,
            file: FileOptions::default(),
            backlog: BACKLOG,
            admit: None,
            rights: Rights::Rejected,
            exceptions: Exceptions::default(),
        }
    }

    /// The address to bind.
    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    /// Permission bits of the socket file; [`Mode::USER_ONLY`] by default. The file gets exactly these, regardless of
    /// the umask. They also decide which peers are admitted, unless you call [`admit`](Self::admit).
    pub fn mode(mut self, mode: Mode) -> Self {
        self.file.mode = Some(mode);
        self
    }

    /// User id of the file's owner. Only root can give files away.
    pub fn owner(mut self, uid: u32) -> Self {
        self.file.owner = Some(uid);
        self
    }

    /// Group id of the file. It must be one of this process's groups, unless the process is root.
    pub fn group(mut self, gid: u32) -> Self {
        self.file.group = Some(gid);
        self
    }

    /// Which peers to admit: exactly these, regardless of the file's mode.
    ///
    /// By default, admission follows the mode: our own user, root and the file's [owner](Self::owner) are admitted; a
    /// mode that lets the group write (`660`) also admits the file's [group](Self::group), and one that lets everyone
    /// write (`666`) admits every peer. For an abstract name and for a socket of the service manager, the default is
    /// [`Admit::own`]: the former has no mode, and the latter has 0666 unless `SocketMode=` says otherwise.
    pub fn admit(mut self, admit: Admit) -> Self {
        self.admit = Some(admit);
        self
    }

    /// Allows peers to send descriptors (`SCM_RIGHTS`), for connections that become
    /// `uds_actor::Actor::pass_descriptors`.
    ///
    /// Without it, sending descriptors fails with `EPERM` (`SO_PASSRIGHTS`, Linux 6.16), from the first byte on and
    /// even before the connection is accepted. A socket of the service manager is left unchanged.
    pub fn pass_descriptors(mut self) -> Self {
        self.rights = Rights::Accepted;
        self
    }

    /// Allows the removal of a stale socket on any filesystem.
    ///
    /// On FUSE, 9p, virtiofs, overlay, network and unknown filesystems, a socket's server may be hidden from this
    /// kernel: it runs on another machine, or is bound to the same file on the other side of the mount. There, an
    /// apparently stale socket is an error, [`BindError::ForeignFilesystem`]. Call this if you know that there is no
    /// other side, as in a container with its own overlay as root. A socket that has a server is never removed, and a
    /// stale one must be at least two seconds old.
    pub fn any_filesystem(mut self) -> Self {
        self.exceptions.any_filesystem = true;
        self
    }

    /// Allows a directory that other users may write to and that is not sticky, such as a volume that containers share.
    ///
    /// You give up the protection by the directory's permissions. Every user who may write there can remove the socket,
    /// replace it with another one and receive what is meant for you, and keep you from listening. They cannot be
    /// admitted as another user, nor make this process touch files outside the directory. Users of
    /// [`Connect`](crate::Connect) should check with [`Peer::of`](crate::Peer::of) which user listens.
    pub fn in_shared_directory(mut self) -> Self {
        self.exceptions.shared = true;
        self
    }

    /// How many connections may wait to be accepted; 1024 by default.
    ///
    /// The kernel's limit is `net.core.somaxconn` (4096 by default). When the queue is full, `connect` waits, or if it
    /// is non-blocking, fails with [`ConnectError::QueueFull`](crate::ConnectError::QueueFull).
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Binds the address with a socket of this kind. `watch` registers it with the runtime, before it gets its name.
    pub(crate) fn take<W: AsFd>(
        self,
        kind: SocketKind,
        watch: impl FnOnce(OwnedFd) -> std::io::Result<W>,
    ) -> Result<Taken<W>, BindError> {
        self.check()?;
        let path = match &self.address {
            Address::Path(path) => path,
            Address::Abstract(name) => {
                let socket = self.listening(kind, &abstract_address(name)?)?;
                return self.hand_over(socket, watch);
            }
            Address::Systemd(name) => {
                let socket = activation::take(name, kind)?;
                return self.adopt(kind, socket, watch);
            }
        };
        let directory = Arc::new(Directory::open(SocketPath::new(path.clone())?, self.exceptions)?);
        directory.refuse_other_kinds()?;
        let lock = NameLock::take(&directory, true)?;
        let (socket, name, file) = self.take_name(kind, &directory, watch)?;
        Ok(self.taken(socket, Some((name, file)), Some(lock)))
    }

    /// Checks what must hold for every address.
    pub(crate) fn check(&self) -> Result<(), BindError> {
        if !matches!(self.address, Address::Path(_)) && self.file != FileOptions::default() {
            return Err(BindError::NoFile { address: self.address.clone() });
        }
        Ok(())
    }

    /// Takes over a socket of the service manager.
    pub(crate) fn adopt<W: AsFd>(
        self,
        kind: SocketKind,
        socket: OwnedFd,
        watch: impl FnOnce(OwnedFd) -> std::io::Result<W>,
    ) -> Result<Taken<W>, BindError> {
        ioctl_fionbio(&socket, true).map_err(|errno| self.failed("stop the waiting on", errno))?;
        self.ask_for_senders(kind, &socket)?;
        self.hand_over(socket, watch)
    }

    fn hand_over<W: AsFd>(
        self,
        socket: OwnedFd,
        watch: impl FnOnce(OwnedFd) -> std::io::Result<W>,
    ) -> Result<Taken<W>, BindError> {
        let failed =
            |source| BindError::Bind { address: self.address.clone(), doing: "hand over to the runtime", source };
        let socket = watch(socket).map_err(failed)?;
        Ok(self.taken(socket, None, None))
    }

    /// Binds a name in the filesystem again. The lock is still held, unless its file was removed.
    pub(crate) fn retake<W: AsFd>(
        &self,
        kind: SocketKind,
        lock: &mut Option<NameLock>,
        watch: impl FnOnce(OwnedFd) -> std::io::Result<W>,
    ) -> Result<Taken<W>, BindError> {
        let Address::Path(path) = &self.address else {
            return Err(BindError::NoFile { address: self.address.clone() });
        };
        // The directory at this path may be a new one.
        let directory = Arc::new(Directory::open(SocketPath::new(path.clone())?, self.exceptions)?);
        directory.refuse_other_kinds()?;
        // The caller tries again, and should be able to serve in the meantime.
        if !lock.as_ref().is_some_and(|lock| lock.is_of(&directory)) {
            *lock = Some(NameLock::take(&directory, false)?);
        }
        let (socket, name, file) = self.take_name(kind, &directory, watch)?;
        Ok(self.clone().taken(socket, Some((name, file)), None))
    }

    /// Called with the lock held. If anything fails, the bound name is removed while the socket is still open.
    fn take_name<W>(
        &self,
        kind: SocketKind,
        directory: &Arc<Directory>,
        watch: impl FnOnce(OwnedFd) -> std::io::Result<W>,
    ) -> Result<(W, Published, Stat), BindError> {
        let failed =
            |source| BindError::Bind { address: self.address.clone(), doing: "hand over to the runtime", source };
        let make = || self.socket(kind);
        let (socket, name, file) = Published::take(directory, self.file, make, |socket| self.listen_on(kind, socket))?;
        Ok((watch(socket).map_err(failed)?, name, file))
    }

    fn taken<W: AsFd>(self, socket: W, name: Option<(Published, Stat)>, lock: Option<NameLock>) -> Taken<W> {
        let (name, file) = name.unzip();
        let admit = match (&self.admit, &file) {
            (Some(admit), _) => admit.clone(),
            (None, Some(file)) => Admit::as_permitted(file),
            (None, None) => Admit::own(),
        };
        let warnings = admit.warnings_on(Some(socket.as_fd()));
        Taken { socket, bind: self, admit, name, lock, warnings }
    }

    fn listening(&self, kind: SocketKind, address: &SocketAddrUnix) -> Result<OwnedFd, BindError> {
        let socket = self.socket(kind)?;
        rustix::net::bind(&socket, address).map_err(|errno| self.failed("bind", errno))?;
        self.listen_on(kind, &socket)?;
        Ok(socket)
    }

    fn socket(&self, kind: SocketKind) -> Result<OwnedFd, BindError> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, to_system(kind), flags, None)
            .map_err(|errno| self.failed("make a socket for", errno))?;
        self.ask_for_senders(kind, &socket)?;
        // Accepted sockets inherit this from the listener, as it was when the peer connected.
        sys::set_rights(socket.as_fd(), self.rights);
        Ok(socket)
    }

    /// Asks the kernel to report the sender of each datagram. It must happen before the first one can arrive.
    fn ask_for_senders(&self, kind: SocketKind, socket: &OwnedFd) -> Result<(), BindError> {
        if kind != SocketKind::Datagram {
            return Ok(());
        }
        set_socket_passcred(socket, true).map_err(|errno| self.failed("ask who sends to", errno))
    }

    fn listen_on(&self, kind: SocketKind, socket: &OwnedFd) -> Result<(), BindError> {
        // A datagram socket receives as soon as it is bound.
        if kind == SocketKind::Datagram {
            return Ok(());
        }
        let backlog = i32::try_from(self.backlog).unwrap_or(i32::MAX);
        rustix::net::listen(socket, backlog).map_err(|errno| self.failed("listen on", errno))
    }

    fn failed(&self, doing: &'static str, errno: rustix::io::Errno) -> BindError {
        BindError::Bind { address: self.address.clone(), doing, source: errno.into() }
    }
}
