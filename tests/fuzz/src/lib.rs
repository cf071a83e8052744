//! Fuzz targets for everything that reads a peer's bytes.
//!
//! `cargo xtask fuzz` builds and runs them. Each target is one law checker, fed with bytes that libFuzzer makes from the
//! inputs in `corpus/TARGET`; an input that broke a law once is kept there, and `cargo test` replays them all.

pub mod framings;
pub mod zookeeper;

/// Runs one input; panics if a law is broken.
pub fn run(target: &str, data: &[u8]) {
    let mut targets = framings::TARGETS.iter().chain(&zookeeper::TARGETS);
    let known = targets.find(|(name, _)| *name == target);
    known.unwrap_or_else(|| panic!("no fuzz target is called {target}")).1(data);
}
