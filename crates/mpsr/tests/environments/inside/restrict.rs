//! A kernel that lacks something, as a seccomp filter on this thread and on what it executes.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::environment::Restriction;

const AF_UNIX: u64 = libc::AF_UNIX as u64;
const SO_PEERGROUPS: u64 = libc::SO_PEERGROUPS as u64;

pub(crate) fn apply(restriction: Restriction) {
    let (call, argument, op, value, error) = match restriction {
        Restriction::OtherFamilies => (libc::SYS_socket, 0, Op::Ne, AF_UNIX, libc::EAFNOSUPPORT),
        Restriction::PeerGroups => (libc::SYS_getsockopt, 2, Op::Eq, SO_PEERGROUPS, libc::ENOPROTOOPT),
        Restriction::RenameFlags => (libc::SYS_renameat2, 4, Op::Ne, 0, libc::EINVAL),
    };
    let condition = SeccompCondition::new(argument, Len::Dword, op, value).unwrap();
    let rule = SeccompRule::new(vec![condition]).unwrap();
    let architecture = TargetArch::try_from(std::env::consts::ARCH).expect("a filter can be made for this machine");
    let filter = SeccompFilter::new(
        [(call, vec![rule])].into_iter().collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(error.cast_unsigned()),
        architecture,
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}
