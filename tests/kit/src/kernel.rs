//! A kernel that lacks something, as a seccomp filter on this thread and on what it executes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub use seccompiler::SeccompCmpOp as Op;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// From here on `call` fails with `error` if `argument`, counted from 0, compares like this with `value`.
pub fn lacks(call: i64, argument: u8, op: Op, value: u64, error: i32) {
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
