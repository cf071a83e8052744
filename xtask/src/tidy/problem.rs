//! What a rule finds.

/// Something that breaks a rule, and where: `crates/a/src/lib.rs:7: a tab`.
pub(super) type Problem = String;
