//! The lock of the actor's hand-written synchronisation, which loom can replace.
//!
//! `cargo xtask loom` builds this crate's unit tests with `--cfg loom_check`. The name is our own, because `--cfg loom` means
//! something to the crates below us as well.

#[cfg(all(test, loom_check))]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, loom_check)))]
pub(crate) use std::sync::{Mutex, MutexGuard};
