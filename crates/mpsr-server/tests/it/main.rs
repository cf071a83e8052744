//! All tests of mpsr-server against the kernel, in one program.

mod admission;
mod cancel;
mod ending;
mod funnel;
mod leak;
mod messages;
mod one_crate;
mod report;
mod trouble;
