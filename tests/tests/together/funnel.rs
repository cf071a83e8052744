//! The funnel with everything below it: framings, actors, listeners, watched directories, real processes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a seed is printed, so that it can be replayed")]

mod activation;
mod framings;
mod kills;
mod matrix;
mod namespaces;
mod property;
mod rig;
mod scenarios;
