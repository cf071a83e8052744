//! What needs more than one crate, or real programs: tests in `tests/`, and the demo.
//!
//! Nothing here is published; the modules are what those tests and the `demo` program share.

pub mod demo;
pub mod proxy;
pub mod zookeeper;

/// The front page's example, compiled as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct FrontPage;
