//! All tests of uds-socket against the kernel, in one program.

mod bind;
mod blocking;
mod connect;
#[cfg(all(feature = "axum", feature = "hyper", feature = "tonic"))]
mod doors;
mod listener;
