//! All tests of fs-watch against the kernel, in one program.

#[cfg(feature = "tokio")]
mod attach;
mod cancel;
mod connect;
mod deaths;
mod descriptors;
mod exhausted;
mod housekeeping;
mod idle;
mod instances;
mod memory;
mod namespaces;
mod permissions;
mod real;
mod shutdown;
mod torn;
