//! Socket calls that no safe crate offers: the peer's identity, whether it may send descriptors, descriptors known only
//! by number, and sockets for which the runtime has no type.

#[cfg(feature = "tokio")]
pub(crate) mod credentials;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};
#[cfg(feature = "tokio")]
use tokio::io::{Interest, unix::AsyncFd};

/// `SO_PEERCRED` as the kernel returns it. The pid is 0 if the peer is outside our pid namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credentials {
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The process that called `connect`, or for the connecting side the one that called `listen` (`unix(7)`).
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<Credentials> {
    let mut words = [0_u32; 3];
    match socket_option(socket, libc::SO_PEERCRED, &mut words)? {
        [pid, uid, gid] => Ok(Credentials { pid: pid.cast_signed(), uid: *uid, gid: *gid }),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The peer's supplementary groups at the time when it connected. Empty if the kernel keeps none; `None` if it does not
/// support the query (before Linux 4.13, and gVisor) or a sandbox forbids it. Without them, fewer peers are admitted,
/// and never more.
pub(crate) fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Option<Vec<u32>>> {
    // Most processes have only a few; the kernel returns ERANGE if there are more, at most NGROUPS_MAX.
    const NGROUPS_MAX: usize = 65_536;
    let mut room = 32;
    loop {
        let mut groups = vec![0_u32; room];
        match socket_option(socket, libc::SO_PEERGROUPS, &mut groups) {
            Ok(groups) => return Ok(Some(groups.to_vec())),
            Err(error) => match error.raw_os_error() {
                Some(libc::ERANGE) if room < NGROUPS_MAX => room = NGROUPS_MAX,
                Some(libc::ENODATA) => return Ok(Some(Vec::new())),
                Some(
                    libc::ENOPROTOOPT | libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS | libc::EPERM | libc::EACCES,
                ) => return Ok(None),
                _ => return Err(error),
            },
        }
    }
}

/// A descriptor for the peer's process. Unlike its pid, it never comes to mean another one.
///
/// `None` before Linux 6.5, and if the process has been reaped.
pub(crate) fn peer_pidfd(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let mut number = [-1_i32];
    let fd = match socket_option(socket, libc::SO_PEERPIDFD, &mut number) {
        Ok([fd]) if *fd >= 0 => *fd,
        Ok(_) => return Ok(None),
        Err(error) => {
            return match error.raw_os_error() {
                Some(
                    libc::ENOPROTOOPT
                    | libc::EOPNOTSUPP
                    | libc::ENOSYS
                    | libc::EPERM
                    | libc::EACCES
                    | libc::ESRCH
                    | libc::ENODATA
                    | libc::EINVAL,
                ) => Ok(None),
                _ => Err(error),
            };
        }
    };
    // SAFETY: the kernel has just installed this descriptor for this call; no other code knows its number.
    #[expect(unsafe_code, reason = "SO_PEERPIDFD gives a new descriptor as a number")]
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}

#[cfg(feature = "tokio")]
/// Registers a non-blocking socket for which the current runtime has no type.
pub(crate) fn watch(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` refers to the same open descriptor as long as it exists, and the `AsyncFd` owns it from here
    // on.
    #[expect(unsafe_code, reason = "tokio cannot know that of every type, and has no constructor for this one")]
    let watched = unsafe { AsyncFd::register_with_interest(socket, interest) };
    Ok(watched?)
}

/// Whether the peer may send descriptors to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// The peer's `sendmsg(2)` fails with `EPERM`.
    Rejected,
    /// They arrive, and the reader must take or close them.
    Accepted,
}

/// Sets whether descriptors are accepted on this socket, or on those that will be accepted from it (`SO_PASSRIGHTS`).
///
/// Kernels before Linux 6.16 do not know the option, and a sandbox may forbid it. Then peers can send unwanted
/// descriptors, and the kernel closes them when the bytes that they came with are read, so this is not an error.
/// Returns whether the kernel has applied the option.
pub fn set_rights(socket: BorrowedFd<'_>, rights: Rights) -> bool {
    set_flag(socket, SO_PASSRIGHTS, rights == Rights::Accepted).is_ok()
}

/// Asks the kernel to add nothing to the bytes except what the peer sent: no credentials, no security label, and above
/// all no pidfd, which is a descriptor, too, even if another holder of the socket had asked for them.
pub fn want_no_identities(socket: BorrowedFd<'_>) {
    for option in [libc::SO_PASSCRED, libc::SO_PASSSEC, libc::SO_PASSPIDFD] {
        // Not every kernel knows every option; it does not do what it does not know.
        let _ = set_flag(socket, option, false);
    }
}

// The number in `asm-generic/socket.h`, and sparc's own.
const SO_PASSRIGHTS: i32 = if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { 0x5c } else { 83 };

/// A duplicate, closed on exec, of a descriptor that this process inherited. The original becomes close-on-exec, too.
///
/// The original stays open and belongs to the process, so calling this twice is harmless.
pub(crate) fn duplicate_inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number < 3 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the borrow ends within this function, which only passes it to fcntl; for a number that is not open, those
    // calls fail with EBADF and do nothing.
    #[expect(unsafe_code, reason = "the activation protocol names descriptors by number")]
    let inherited = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl_setfd(inherited, fcntl_getfd(inherited)? | FdFlags::CLOEXEC)?;
    Ok(fcntl_dupfd_cloexec(inherited, 3)?)
}

/// Reads a `SOL_SOCKET` option into the beginning of `room`, and returns the part that was filled.
fn socket_option<'a, T: Word>(socket: BorrowedFd<'_>, option: i32, room: &'a mut [T]) -> io::Result<&'a [T]> {
    let mut len = libc::socklen_t::try_from(size_of_val(room)).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: `room` is writable for `len` bytes, the kernel writes at most that many, and any bytes are a
    // valid `Word`.
    #[expect(unsafe_code, reason = "no SO_PEERGROUPS or SO_PEERPIDFD in rustix, whose SO_PEERCRED has no pid 0")]
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, room.as_mut_ptr().cast(), &raw mut len)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(room.get(..len as usize / size_of::<T>()).unwrap_or(room))
}

fn set_flag(socket: BorrowedFd<'_>, option: i32, on: bool) -> io::Result<()> {
    let value = libc::c_int::from(on);
    // SAFETY: the kernel reads the integer behind the pointer, whose size is given, and nothing else.
    #[expect(unsafe_code, reason = "no SO_PASSRIGHTS and SO_PASSPIDFD in rustix")]
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Integers: every bit pattern is a value, so the kernel may write into them.
trait Word: Copy {}
impl Word for u32 {}
impl Word for i32 {}
