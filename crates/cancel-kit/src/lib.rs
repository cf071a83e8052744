//! Drop a future after every poll and see what is lost.
//!
//! Any future may be dropped at any `.await`: by `select!`, by a timeout, or when its task is aborted. An operation is
//! *cancel safe* if you can drop its future, start the operation again, and nothing is lost or doubled. This crate tests
//! that. You write a *scenario*: a small program that does its work through futures. The kit runs it once without
//! interference, and then again and again with futures dropped at every possible point. The result must be the same each
//! time.
//!
//! ```text
//!   never dropped                  ─────────────────●        "hello"    the outcome to compare with
//!   made and dropped unpolled      ×─────────────────●       "hello"    ✓
//!   dropped once, at poll 1        ─×─────────────────●      "hello"    ✓
//!   dropped once, at poll 2, …     ──×─────────────────●     "hehello"  ✗ doubled
//!   dropped after every poll       ─×─×─×─×─×─×─●
//!   after every 2nd, 3rd, … poll   ──×──×──●                 until no future lives long enough to be dropped
//! ```
//!
//! Here is the classic mistake: a write that keeps its offset in the future. It passes every ordinary test.
//!
//! ```
//! use std::future::poll_fn;
//! use cancel_kit::{Drops, Pace, Wire, check};
//!
//! async fn send(wire: &mut Wire, message: &[u8]) {
//!     let mut offset = 0; // forgotten when the future is dropped
//!     while offset < message.len() {
//!         offset += poll_fn(|cx| wire.poll_write(cx, &message[offset..])).await.expect("the script has no errors");
//!     }
//! }
//!
//! let found = check(async |drops: Drops| {
//!     let mut wire = Wire::new("", Pace::bytes(2)); // takes two bytes, then none, then two …
//!     let tap = wire.tap();
//!     drops.drive(async || send(&mut wire, b"hello").await).await;
//!     String::from_utf8(tap.written()).expect("letters")
//! });
//! let error = found.expect_err("it is not cancel safe");
//! assert_eq!(
//!     error.to_string(),
//!     "one future dropped, at poll 2 of the run: \"hehello\" where \"hello\" comes without drops",
//! );
//! ```
//!
//! | item | what it does |
//! |---|---|
//! | [`check`], [`Check`] | runs a scenario under every [`Plan`] of drops, on its own executor or on yours ([`Check::run_in`]) |
//! | [`Drops::drive`] | makes a future, polls it as the plan says, drops it, and makes the next one, until one completes |
//! | [`Wire`], [`Tap`] | a byte stream that is ready exactly when its [`Pace`] says so |
//! | [`Error`] | the wrong result and the plan that led to it; also a future that nothing will wake, or a scenario in which no future was dropped |
//!
//! Everything is deterministic: the same plan fails again in the same way, see [`Check::replay`].
//!
//! # What this crate is not
//!
//! It does not find data races or wake-ups that are lost between threads; use loom for those. It has no clock and no
//! sockets. It does not try every combination of drops: it drops one future, at each point in turn, or every future after
//! the same number of polls.
//!
//! # Features
//!
//! - `tokio`: [`Wire`] implements tokio's `AsyncRead + AsyncWrite`, and `Check::run_in_tokio` runs scenarios with tasks,
//!   timers and sockets, each run in a separate runtime.

#![forbid(unsafe_code)]

/// The README's code, compiled as it is printed.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod check;
mod drops;
mod error;
mod executor;
mod pace;
mod plan;
mod sequence;
#[cfg(feature = "tokio")]
mod tokio_check;
#[cfg(feature = "tokio")]
mod tokio_wire;
mod wire;

pub use crate::{
    check::{Check, Survey, check},
    drops::Drops,
    error::Error,
    pace::{Pace, Step},
    plan::Plan,
    sequence::{Difference, difference},
    wire::{Tap, Wire},
};
