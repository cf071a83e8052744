//! All tests of zk-client, in one program.

mod busy;
mod cancel;
mod large;
mod lifetime;
mod read_only;
mod reconnect;
mod renewing;
mod requests;
mod server;
#[cfg(feature = "tracing")]
mod tracing;
mod unsupported;
