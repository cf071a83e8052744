//! All tests of uds-actor against the kernel, in one program.

mod actor;
mod cancel;
mod direct;
mod endings;
mod fds;
mod hang_up;
mod one_crate;
mod packet;
mod policy;
mod readiness;
mod recv;
mod rest;
mod threads;
mod urgent;
