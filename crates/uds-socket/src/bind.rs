//! Taking an address to listen on: by path, by abstract name, or from the service manager.

mod activation;
mod directory;
pub(crate) mod probe;
pub(crate) mod publish;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use lock_file::Lock;
use rustix::fs::{Gid, Uid};
use rustix::io::ioctl_fionbio;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, socket_with};
use tokio::net::{UnixDatagram, UnixStream};

use self::directory::Directory;
use self::publish::{Fresh, Published};
use crate::address::{Address, SocketKind, abstract_address};
use crate::admit::Admit;
use crate::error::{Error, Result};
use crate::listener::{Acceptable, Listener, SeqpacketListener};
use crate::mode::Mode;
use crate::packet::BoundDatagram;
use crate::path::SocketPath;
use crate::sys::{self, Rights};

/// Connections that may wait to be accepted, unless [`Bind::backlog`] says otherwise.
const BACKLOG: u32 = 1024;

/// How to take an address to listen on.
///
/// A path is taken in this order, and a crash at any point leaves nothing that blocks the next start:
///
/// ```text
///  .x.sock.lock   locked while the listener lives; never removed        → Error::Locked names the holder
///  x.sock         looked at: not a socket? alive? then left alone       → Error::NotASocket, Error::InUse
///  .x.sock.new    bound, owner and mode set, listening
///  x.sock         gets it in one step: a link where nothing was, an exchange with a stale socket, whose inode is
///                 then checked to be the one that was looked at — else exchanged back
/// ```
///
/// So the name never leads to a socket that refuses or that has another mode than asked for, and no two starters
/// remove each other's sockets. A directory in which others may rename files (writable by group or others, and not
/// sticky) is refused, because there none of this would hold. Nor would it against the directory's owner, whose it is to
/// rename what is in it: that user, whoever it is, is trusted not to, and cannot make us touch anything that is not ours.
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
    admit: Admit,
    rights: Rights,
}

/// An address that was taken: what becomes a listener or its like.
struct Taken<W> {
    socket: W,
    address: Address,
    admit: Admit,
    name: Option<Published>,
    lock: Option<Lock>,
}

/// What the socket's file shall be like; nothing set means [`Mode::USER_ONLY`] and this process's user and group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FileOptions {
    mode: Option<Mode>,
    owner: Option<u32>,
    group: Option<u32>,
}

impl FileOptions {
    pub(crate) fn mode(self) -> Mode {
        self.mode.unwrap_or_default()
    }

    pub(crate) fn owner(self) -> Option<Uid> {
        self.owner.map(Uid::from_raw)
    }

    pub(crate) fn group(self) -> Option<Gid> {
        self.group.map(Gid::from_raw)
    }
}

impl Bind {
    /// A name in the file system.
    ///
    /// Up to 4095 bytes, the last component up to 249. Other programs may be unable to connect to more than 107
    /// bytes; [`Connect`](crate::Connect) is not.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::at(Address::Path(path.into()))
    }

    /// A name of 1 to 107 bytes in the abstract table of the network namespace (`unix(7)`).
    ///
    /// It vanishes with the process and has no permissions: [`admit`](Self::admit) alone keeps others out.
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
            admit: Admit::default(),
            rights: Rights::Refused,
        }
    }

    /// Permission bits of the socket's file, [`Mode::USER_ONLY`] unless set; exactly these, whatever the umask.
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

    /// Whom to let in, [`Admit::own`] unless set.
    pub fn admit(mut self, admit: Admit) -> Self {
        self.admit = admit;
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

    /// How many connections may wait to be accepted, 1024 unless set.
    ///
    /// The kernel takes at most `net.core.somaxconn` (4096 by default). At the limit `connect` waits, or fails with
    /// [`Error::QueueFull`] if it does not block.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Takes the address and listens on it.
    ///
    /// A plain function, because it is a dozen short calls on a local file system, none of which waits for anybody
    /// (the lock is tried, not awaited), and because it must not stop half-way the way a dropped future does.
    ///
    /// # Errors
    /// By path: [`Error::InvalidPath`], [`Error::PathTooLong`], [`Error::NoDirectory`], [`Error::SharedDirectory`],
    /// [`Error::NotASocket`], [`Error::Locked`], [`Error::ForeignLock`], [`Error::InUse`], [`Error::Contended`].
    /// By abstract name: [`Error::InvalidAbstractName`], and [`Error::Bind`] with `EADDRINUSE` when it is taken.
    /// From the service manager: [`Error::NotPassed`], [`Error::PassedTwice`], [`Error::NotAListener`].
    /// [`Error::NoFile`] when mode, owner or group are set and the address is not a path; [`Error::NoRuntime`]
    /// outside a tokio runtime; [`Error::Bind`] when a system call fails. Nothing is left behind, except the lock
    /// file if it got that far.
    ///
    /// # Panics
    /// In a tokio runtime that was built without I/O.
    pub fn listen(self) -> Result<Listener> {
        self.listen_for::<UnixStream>()
    }

    /// The same for connections that keep packets apart: `SOCK_SEQPACKET`, in a unit file `ListenSequentialPacket=`.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    ///
    /// # Panics
    /// As [`listen`](Self::listen).
    pub fn listen_seqpacket(self) -> Result<SeqpacketListener> {
        self.listen_for()
    }

    /// Takes the address and receives datagrams on it: `SOCK_DGRAM`, in a unit file `ListenDatagram=` (with
    /// `PassCredentials=yes`, because what is sent before this is called has no sender otherwise).
    ///
    /// Each datagram's sender is [admitted](Self::admit) or not, by user and primary group; one without a sender only where
    /// [anyone](Admit::anyone) is. How many datagrams
    /// may wait is the system's choice (`net.unix.max_dgram_qlen`), and not [`backlog`](Self::backlog)'s.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    ///
    /// # Panics
    /// As [`listen`](Self::listen).
    pub fn bind_datagram(self) -> Result<BoundDatagram> {
        self.take(SocketKind::Datagram, |socket| UnixDatagram::from_std(socket.into()))
            .map(|Taken { socket, address, admit, name, lock }| BoundDatagram::new(socket, address, admit, name, lock))
    }

    fn listen_for<S: Acceptable>(self) -> Result<Listener<S>> {
        self.take(S::KIND, Listener::<S>::watch)
            .map(|Taken { socket, address, admit, name, lock }| Listener::new(socket, address, admit, name, lock))
    }

    /// Takes the address with a socket of this kind; `watch` hands it over to the runtime, before it gets its name.
    fn take<W>(self, kind: SocketKind, watch: impl FnOnce(OwnedFd) -> std::io::Result<W>) -> Result<Taken<W>> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::NoRuntime);
        }
        if !matches!(self.address, Address::Path(_)) && self.file != FileOptions::default() {
            return Err(Error::NoFile { address: self.address });
        }
        let (socket, fresh, lock) = match &self.address {
            Address::Path(path) => {
                let (socket, fresh, lock) = self.prepare(kind, path.clone())?;
                (socket, Some(fresh), Some(lock))
            }
            Address::Abstract(name) => (self.listening(kind, &abstract_address(name)?)?, None, None),
            Address::Systemd(name) => {
                let socket = activation::take(name, kind)?;
                ioctl_fionbio(&socket, true).map_err(|errno| self.failed("stop the waiting on", errno))?;
                self.ask_for_senders(kind, &socket)?;
                (socket, None, None)
            }
        };
        let failed = |source| Error::Bind { address: self.address.clone(), doing: "hand over to the runtime", source };
        let socket = watch(socket).map_err(failed)?;
        let name = fresh.map(Fresh::publish).transpose()?;
        Ok(Taken { socket, address: self.address, admit: self.admit, name, lock })
    }

    /// All that is done before the name can be given.
    fn prepare(&self, kind: SocketKind, path: PathBuf) -> Result<(OwnedFd, Fresh, Lock)> {
        let directory = Directory::open(SocketPath::new(path)?)?;
        directory.refuse_other_kinds()?;
        let lock = directory.lock()?;
        directory.sweep()?;
        directory.stale_or_free()?;
        let socket = self.socket(kind)?;
        let fresh = directory.bind(socket.as_fd(), self.file)?;
        self.listen_on(kind, &socket)?;
        Ok((socket, fresh, lock))
    }

    fn listening(&self, kind: SocketKind, address: &SocketAddrUnix) -> Result<OwnedFd> {
        let socket = self.socket(kind)?;
        rustix::net::bind(&socket, address).map_err(|errno| self.failed("bind", errno))?;
        self.listen_on(kind, &socket)?;
        Ok(socket)
    }

    fn socket(&self, kind: SocketKind) -> Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, kind.to_system(), flags, None)
            .map_err(|errno| self.failed("make a socket for", errno))?;
        self.ask_for_senders(kind, &socket)?;
        // What is accepted has it from the listener, as it was when the peer connected.
        sys::set_rights(socket.as_fd(), self.rights);
        Ok(socket)
    }

    /// Has the kernel say with each datagram who sent it. To be asked before the first one can come.
    fn ask_for_senders(&self, kind: SocketKind, socket: &OwnedFd) -> Result<()> {
        if kind != SocketKind::Datagram {
            return Ok(());
        }
        set_socket_passcred(socket, true).map_err(|errno| self.failed("ask who sends to", errno))
    }

    fn listen_on(&self, kind: SocketKind, socket: &OwnedFd) -> Result<()> {
        // A datagram socket receives as soon as it is bound.
        if kind == SocketKind::Datagram {
            return Ok(());
        }
        let backlog = i32::try_from(self.backlog).unwrap_or(i32::MAX);
        rustix::net::listen(socket, backlog).map_err(|errno| self.failed("listen on", errno))
    }

    fn failed(&self, doing: &'static str, errno: rustix::io::Errno) -> Error {
        Error::Bind { address: self.address.clone(), doing, source: errno.into() }
    }
}
