//! All tests of zk-proto except its laws, in one program.

mod golden;
mod session;
mod simulation;
