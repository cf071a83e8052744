//! All tests of uds-channel against the kernel, in one program.

mod channel;
mod descriptors;
mod signals;
mod tokio;
