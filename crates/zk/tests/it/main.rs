//! The `zk` program as its users meet it: real processes, and a server that does what the test says.
//!
//! Nothing here sleeps to let something happen. A test waits for what the program prints, for what the server receives, or for the end
//! of the process; each wait has a limit, and every process is killed and reaped.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod answers;
mod ends;
mod failures;
mod four_letters;
mod peer;
mod running;
mod shown;
mod watching;
