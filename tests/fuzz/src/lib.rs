//! Fuzz targets for everything that reads a peer's bytes.
//!
//! `cargo xtask fuzz` builds and runs them. Each target is one law checker, fed with bytes that libFuzzer makes from the
//! inputs in `corpus/TARGET`; an input that broke a law once is kept there, and `cargo test` replays them all.

pub mod framings;
