//! What the tests of several crates share.
//!
//! | module | what for |
//! |---|---|
//! | [`alone`](mod@alone) | a test that changes or counts what belongs to the whole process |
//! | [`process`] | other processes that play a role, and threads of other users |
//! | [`descriptors`] | descriptors that you can tell apart, and a peer that passes them |
//! | [`front_page`] | the code that new users copy, which must not need other crates |
//! | [`kernel`] | a kernel that lacks a call, an option or a flag |
//! | [`soon`](mod@soon) | a limit for every wait |
//! | [`stopwatch`] | a bound on time, on a machine that may be busy |
//!
//! The helpers of one crate's tests are modules of its `tests/it`.

pub mod alone;
pub mod descriptors;
pub mod front_page;
pub mod kernel;
pub mod process;
pub mod soon;
pub mod stopwatch;
