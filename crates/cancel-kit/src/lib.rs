//! Drop a future after every poll and see what is lost.
//!
//! Any future may be dropped at any `.await`: by `select!`, by a timeout, by a task that is aborted. An operation is
//! *cancel safe* if nothing is lost or doubled when that happens and the operation is simply started again. This crate
//! turns the sentence into a test. You write a *scenario* — a little program that does its work through futures — and it
//! is run once as it is, and then again and again with futures dropped in every place; whatever it computes must be the
//! same each time.
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
//! Here is the classic mistake: a write whose offset lives in the future. It passes every ordinary test.
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
//! | piece | is |
//! |---|---|
//! | [`check`], [`Check`] | runs a scenario under every [`Plan`] of drops; on its own executor, or in yours ([`Check::run_in`]) |
//! | [`Drops::drive`] | makes a future, polls it as the plan says, drops it, makes the next, until one is through |
//! | [`Wire`], [`Tap`] | a byte stream that is ready when its [`Pace`] says so and never waits for anything else |
//! | [`Error`] | what came instead, and under which plan; also a future that nobody will wake, and a scenario in which nothing was dropped |
//!
//! Everything is deterministic: a failure happens again with the same plan, see [`Check::replay`].
//!
//! # What this crate is not
//!
//! It finds what dropping does, not data races and not lost wake-ups between threads; that is the work of loom. It has no
//! clock and no sockets. It does not try every combination of drops: one period for all futures, or one drop, at every
//! place.
//!
//! # Features
//!
//! - `tokio`: [`Wire`] is tokio's `AsyncRead + AsyncWrite`, and `Check::run_in_tokio` runs scenarios with tasks, timers and
//!   sockets, each in a runtime of its own.

#![forbid(unsafe_code)]

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
