//! A kernel that lacks something, as a seccomp filter on this thread and on what it executes.

use test_kit::kernel::{Op, lacks};

use crate::environment::Restriction;

const AF_UNIX: u64 = libc::AF_UNIX as u64;
const SO_PEERGROUPS: u64 = libc::SO_PEERGROUPS as u64;

pub(crate) fn apply(restriction: Restriction) {
    let (call, argument, op, value, error) = match restriction {
        Restriction::OtherFamilies => (libc::SYS_socket, 0, Op::Ne, AF_UNIX, libc::EAFNOSUPPORT),
        Restriction::PeerGroups => (libc::SYS_getsockopt, 2, Op::Eq, SO_PEERGROUPS, libc::ENOPROTOOPT),
        Restriction::RenameFlags => (libc::SYS_renameat2, 4, Op::Ne, 0, libc::EINVAL),
    };
    lacks(call, argument, op, value, error);
}
