//! Our crates against their peers, byte for byte. All of it is in `tests`.
//!
//! ```sh
//! cd tests/interop && cargo test
//! ```
