//! Receiving a datagram with the identity of its sender (`SCM_CREDENTIALS`, `unix(7)`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use socket_file::overflow;

use super::Credentials;

/// Room for one `SCM_CREDENTIALS` and nothing else, so the kernel has no room for descriptors and closes them.
#[repr(C)]
union Control {
    room: [u8; SPACE],
    _aligned: libc::cmsghdr,
}

#[expect(unsafe_code, reason = "libc declares the macros of cmsg(3) unsafe")]
// SAFETY: only arithmetic.
const SPACE: usize = unsafe { libc::CMSG_SPACE(size_of::<libc::ucred>() as libc::c_uint) as usize };

/// Receives one datagram without waiting. Returns its real length, even if not all of it fits, and its sender.
///
/// `SO_PASSCRED` must be set on the socket. For a datagram sent before that, the sender is `None`: the kernel reports a
/// process without a pid, and a user and group without ids here. A user without an id, from another pid namespace,
/// looks the same.
pub(crate) fn receive_with_credentials(
    socket: BorrowedFd<'_>,
    room: &mut [u8],
) -> io::Result<(usize, Option<Credentials>)> {
    let mut control = Control { room: [0; SPACE] };
    let mut slice = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    // SAFETY: all zeros is a valid `msghdr` with nothing in it.
    #[expect(unsafe_code, reason = "`msghdr` has private padding on some targets")]
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut slice;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = SPACE as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: every pointer in `message` is to a live local or to `room`, writable for the length given with it.
    #[expect(unsafe_code, reason = "rustix has no credentials of a process without a pid here, which has the pid 0")]
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;

    // SAFETY: `message` is as recvmsg left it, so that CMSG_FIRSTHDR is null or points to a header within `control`; what
    // is of this type and length has a `ucred` behind it, which is read without regard to its alignment.
    #[expect(unsafe_code, reason = "control messages are read through the pointers of cmsg(3)")]
    let credentials = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let is_credentials = !header.is_null()
            && (*header).cmsg_level == libc::SOL_SOCKET
            && (*header).cmsg_type == libc::SCM_CREDENTIALS
            && (*header).cmsg_len as usize >= libc::CMSG_LEN(size_of::<libc::ucred>() as libc::c_uint) as usize;
        is_credentials.then(|| ptr::read_unaligned(libc::CMSG_DATA(header).cast::<libc::ucred>()))
    };
    let known = credentials.filter(|found| (found.pid, found.uid, found.gid) != (0, overflow::uid(), overflow::gid()));
    Ok((len, known.map(|found| Credentials { pid: found.pid, uid: found.uid, gid: found.gid })))
}
