//! The lock in the actor's hand-written synchronisation. Loom can replace it.
//!
//! `cargo xtask loom` builds this crate's unit tests with `--cfg loom_check`. The name is our own, because `--cfg loom`
//! has a meaning for our dependencies, too.

#[cfg(all(test, loom_check))]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, loom_check)))]
pub(crate) use std::sync::{Mutex, MutexGuard};
