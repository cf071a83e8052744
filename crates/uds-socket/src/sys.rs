//! What no safe crate offers for sockets: who is at the other end, whether it may send descriptors, descriptors known by
//! number only, and sockets that the runtime has no type for.

#[cfg(feature = "tokio")]
pub(crate) mod credentials;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};
#[cfg(feature = "tokio")]
use tokio::io::{Interest, unix::AsyncFd};

/// `SO_PEERCRED` as the kernel gives it: the pid is 0 when the peer is outside our pid namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credentials {
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Who called `connect`, or for a connector who called `listen` (`unix(7)`).
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<Credentials> {
    let mut words = [0_u32; 3];
    match socket_option(socket, libc::SO_PEERCRED, &mut words)? {
        [pid, uid, gid] => Ok(Credentials { pid: pid.cast_signed(), uid: *uid, gid: *gid }),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The peer's supplementary groups as they were when it connected; empty where the kernel keeps none, `None` where it does not
/// know the question (before Linux 4.13, and gVisor) or a sandbox forbids it. Without them fewer peers are admitted, never more.
pub(crate) fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Option<Vec<u32>>> {
    // Most processes have a handful; the kernel says ERANGE when there are more, at most NGROUPS_MAX.
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

/// A descriptor for the peer's process, which unlike its pid never comes to mean another one.
///
/// `None` before Linux 6.5, and when the process has been reaped.
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
    // SAFETY: the kernel has just installed this descriptor for this call; nobody else knows its number.
    #[expect(unsafe_code, reason = "SO_PEERPIDFD gives a new descriptor as a number")]
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}

#[cfg(feature = "tokio")]
/// Has the current runtime watch a non-blocking socket, one that it has no type of its own for.
pub(crate) fn watch(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names the same open descriptor as long as it lives, and the `AsyncFd` owns it from here on.
    #[expect(unsafe_code, reason = "tokio cannot know that of every type, and has no constructor for this one")]
    let watched = unsafe { AsyncFd::register_with_interest(socket, interest) };
    Ok(watched?)
}

/// Whether the other end of a socket may send descriptors to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// `sendmsg(2)` over there fails with `EPERM`.
    Rejected,
    /// They arrive, and whoever reads has to take or close them.
    Accepted,
}

/// Says whether descriptors are wanted on this socket, or on those that will be accepted from it (`SO_PASSRIGHTS`).
///
/// Kernels before Linux 6.16 do not know the option, and a sandbox may forbid it. Then descriptors that nobody wants can
/// be sent, and are closed by the kernel when the bytes they came with are read: that is no reason to fail.
/// Answers whether the kernel will do so.
pub fn set_rights(socket: BorrowedFd<'_>, rights: Rights) -> bool {
    set_flag(socket, SO_PASSRIGHTS, rights == Rights::Accepted).is_ok()
}

/// Has the kernel put nothing beside the bytes but what the peer sent: no credentials, no security label, and above all no
/// pidfd, which is a descriptor too, whoever had asked for them.
pub fn want_no_identities(socket: BorrowedFd<'_>) {
    for option in [libc::SO_PASSCRED, libc::SO_PASSSEC, libc::SO_PASSPIDFD] {
        // Not every kernel knows every one, and what it does not know it does not do.
        let _ = set_flag(socket, option, false);
    }
}

// The number in `asm-generic/socket.h`, and sparc's own.
const SO_PASSRIGHTS: i32 = if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { 0x5c } else { 83 };

/// A duplicate, closed on exec, of a descriptor this process was started with; the original is made so too.
///
/// The original stays open and belongs to the process, so asking twice is harmless.
pub(crate) fn duplicate_inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number < 3 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the borrow ends within this function, in which it is only given to fcntl; a number that is not
    // open makes those calls fail with EBADF and do nothing.
    #[expect(unsafe_code, reason = "the activation protocol names descriptors by number")]
    let inherited = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl_setfd(inherited, fcntl_getfd(inherited)? | FdFlags::CLOEXEC)?;
    Ok(fcntl_dupfd_cloexec(inherited, 3)?)
}

/// Fills `room` from the front with a `SOL_SOCKET` option and gives back the part that was filled.
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
