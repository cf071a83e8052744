//! Taking an address to listen on: by path, by abstract name, or from the service manager.

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
use crate::address::{Address, SocketKind};
use crate::admit::Admit;
use crate::error::BindError;
use crate::mode::Mode;
use crate::path::SocketPath;
use crate::sys::{self, Rights};
use crate::warning::Warning;

/// Connections that may wait to be accepted, unless [`Bind::backlog`] says otherwise.
const BACKLOG: u32 = 1024;

/// How to take an address to listen on.
///
/// A path is taken in this order, and a crash at any point leaves nothing that blocks the next start. (Where a stale socket may
/// not be removed, see below, the next start finds it under its name, and says so.)
///
/// ```text
///  .x.sock.lock   locked while the listener lives, then removed         → BindError::Locked names the holder
///  x.sock         examined: not a socket? served? left alone            → BindError::NotASocket, BindError::InUse
///  .x.sock.old    given its name back if a crash has left it, or removed if it is stale and the name is taken; a stale
///                 x.sock is moved here, examined again, and removed, or put back if it is not what it was
///  .x.sock.older  the same where .x.sock.old is a live socket
///  x.sock         bound, with a mode no wider than asked; listening; then owner and mode as asked
/// ```
///
/// You bind to the final name, so the kernel's name for the socket (`getsockname`, `ss`, `lsof`, `/proc/net/unix`) is its
/// absolute path. Of a path that is longer than 107 bytes, the kernel's name is one through a descriptor of the directory
/// (`/proc/self/fd/N/x.sock`), or a shortened one if the file's own name does not fit. Such a path takes `/proc`.
///
/// `bind(2)` makes the name, and `listen(2)` is the very next system call. In the 10 to 50 µs between them a client is
/// refused (`ECONNREFUSED`), and no system call closes that gap. If a name has just appeared, a client should therefore
/// try again for a moment; [`Connect`](crate::Connect) does. No client ever reaches a socket whose mode is wider than
/// asked.
///
/// A socket is stale if the kernel finds nothing bound to its file, in any network namespace: asking is a lookup that no
/// server notices. It is left alone where a server may be hidden from this kernel, as on FUSE, overlay, network and unknown
/// filesystems (see [`any_filesystem`](Self::any_filesystem)).
///
/// A directory in which others may rename files (writable by group or others, and not sticky) is refused, because there none
/// of this would hold (see [`in_shared_directory`](Self::in_shared_directory)). The directory's owner can rename what is in it
/// as well: that user is trusted not to, and cannot make us touch a file that is not ours.
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
#[must_use = "call `listen`, or its like for packets"]
pub struct Bind {
    address: Address,
    file: FileOptions,
    backlog: u32,
    /// As the file permits it, unless set.
    admit: Option<Admit>,
    rights: Rights,
    exceptions: Exceptions,
}

/// An address that was taken: what becomes a listener or its like.
pub(crate) struct Taken<W> {
    pub(crate) socket: W,
    pub(crate) bind: Bind,
    pub(crate) admit: Admit,
    pub(crate) name: Option<Published>,
    pub(crate) lock: Option<NameLock>,
    pub(crate) warnings: Vec<Warning>,
}

impl Bind {
    /// A name in the file system.
    ///
    /// Up to 4095 bytes, the last component up to 249. Other programs may be unable to connect to more than 107
    /// bytes; [`Connect`](crate::Connect) can.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::at(Address::Path(path.into()))
    }

    /// A name of 1 to 107 bytes in the abstract table of the network namespace (`unix(7)`).
    ///
    /// It vanishes with the process and has no permissions: only [`admit`](Self::admit) keeps others out.
    pub fn abstract_name(name: impl Into<Vec<u8>>) -> Self {
        Self::at(Address::Abstract(name.into()))
    }

    /// The listening socket that the service manager passed under this name (`sd_listen_fds(3)`,
    /// `FileDescriptorName=` in `systemd.socket(5)`).
    ///
    /// It belongs to the service manager: its file is neither removed nor changed, and at shutdown connections not
    /// yet accepted are left to the next instance. The environment is read, never changed.
    pub fn systemd(name: impl Into<String>) -> Self {
        Self::at(Address::Systemd(name.into()))
    }

    /// An address known as a value.
    pub fn at(address: Address) -> Self {
        Self {
            address,
            file: FileOptions::default(),
            backlog: BACKLOG,
            admit: None,
            rights: Rights::Refused,
            exceptions: Exceptions::default(),
        }
    }

    /// The address.
    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    /// Permission bits of the socket's file, [`Mode::USER_ONLY`] unless set; exactly these, whatever the umask. They also
    /// decide which peers are admitted, unless [`admit`](Self::admit) does.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.file.mode = Some(mode);
        self
    }

    /// User id of the file's owner; giving files away takes root.
    pub fn owner(mut self, uid: u32) -> Self {
        self.file.owner = Some(uid);
        self
    }

    /// Group id of the file; one of this process's groups unless it is root.
    pub fn group(mut self, gid: u32) -> Self {
        self.file.group = Some(gid);
        self
    }

    /// Which peers to admit: exactly these, whatever the file's mode.
    ///
    /// Unless set, mode and admission agree: our own user and root are admitted, and the file's [owner](Self::owner); a mode
    /// with which the group may write (`660`) admits the file's [group](Self::group), one with which everyone may (`666`)
    /// admits every peer. Of an abstract name and a socket of the service manager, [`Admit::own`]: the one has no mode, and
    /// the other's is 0666 unless `SocketMode=` says otherwise.
    pub fn admit(mut self, admit: Admit) -> Self {
        self.admit = Some(admit);
        self
    }

    /// Lets those who connect send descriptors (`SCM_RIGHTS`), for connections that become
    /// `uds_actor::Actor::pass_descriptors`.
    ///
    /// Without it the kernel refuses descriptors with `EPERM` where they are sent (`SO_PASSRIGHTS`, Linux 6.16), from the
    /// first byte on, before the connection is accepted. A socket of the service manager is left as it is.
    pub fn pass_descriptors(mut self) -> Self {
        self.rights = Rights::Accepted;
        self
    }

    /// Allows a stale socket to be removed on any filesystem.
    ///
    /// On FUSE, 9p, virtiofs, overlay, network and unknown filesystems a socket's server may be hidden from this kernel: it is on
    /// another machine, or bound to the same file on the other side of the mount. There a socket that is in the way is an
    /// error, [`BindError::ForeignFilesystem`], unless you call this because you know that there is no other side, as in a
    /// container whose root is an overlay of its own. A socket found to be served is never removed, and one must be two
    /// seconds old.
    pub fn any_filesystem(mut self) -> Self {
        self.exceptions.any_filesystem = true;
        self
    }

    /// Allows a directory that others may write to and that is not sticky, such as a volume that containers share.
    ///
    /// It gives up what the directory's permissions would protect. Every user who may write there can remove the socket, put
    /// their own in its place and so receive what is meant for you, and keep you from listening. What they cannot do is to
    /// be admitted as another user, or make this process touch files outside the directory. [`Connect`](crate::Connect)
    /// users should check with [`Peer::of`](crate::Peer::of) who serves.
    pub fn in_shared_directory(mut self) -> Self {
        self.exceptions.shared = true;
        self
    }

    /// How many connections may wait to be accepted, 1024 unless set.
    ///
    /// The kernel takes at most `net.core.somaxconn` (4096 by default). At the limit `connect` waits, or fails with
    /// [`ConnectError::QueueFull`](crate::ConnectError::QueueFull) if it does not block.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Takes the address with a socket of this kind; `watch` hands it over to the runtime, before it gets its name.
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

    /// What must hold whatever the address.
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

    /// Takes a name in the file system again, whose lock is held already unless its file was removed.
    pub(crate) fn retake<W: AsFd>(
        &self,
        kind: SocketKind,
        lock: &mut Option<NameLock>,
        watch: impl FnOnce(OwnedFd) -> std::io::Result<W>,
    ) -> Result<Taken<W>, BindError> {
        let Address::Path(path) = &self.address else {
            return Err(BindError::NoFile { address: self.address.clone() });
        };
        // The directory may be a new one.
        let directory = Arc::new(Directory::open(SocketPath::new(path.clone())?, self.exceptions)?);
        directory.refuse_other_kinds()?;
        // Whoever rebinds tries again, and should not be kept from serving meanwhile.
        if !lock.as_ref().is_some_and(|lock| lock.is_of(&directory)) {
            *lock = Some(NameLock::take(&directory, false)?);
        }
        let (socket, name, file) = self.take_name(kind, &directory, watch)?;
        Ok(self.clone().taken(socket, Some((name, file)), None))
    }

    /// Under the lock. Whatever fails, what was bound is taken back, while its socket is open.
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
        let socket = socket_with(AddressFamily::UNIX, kind.to_system(), flags, None)
            .map_err(|errno| self.failed("make a socket for", errno))?;
        self.ask_for_senders(kind, &socket)?;
        // What is accepted has it from the listener, as it was when the peer connected.
        sys::set_rights(socket.as_fd(), self.rights);
        Ok(socket)
    }

    /// Has the kernel say with each datagram who sent it. To be asked before the first one can come.
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
