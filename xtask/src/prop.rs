//! `cargo xtask prop`: the property tests (`tests/prop.rs`) of every crate.
//!
//! One seed stands for the whole run. proptest reads it from `PROPTEST_RNG_SEED`, after which every
//! property draws the same cases again; the line that fails is printed with its seed and can be
//! pasted. What proptest has written to `proptest-regressions` is tried first in any run.

use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;

use crate::{
    ci,
    console::say,
    flags,
    steps::{self, Machine},
    workspace::Workspace,
};

/// proptest's own default.
const CASES: u32 = 256;

pub(crate) fn run(workspace: &Workspace, options: &flags::Prop) -> Result<ExitCode> {
    let seed = options.replay.unwrap_or_else(fresh_seed);
    let cases = options.cases.unwrap_or(CASES);
    let step = steps::prop(workspace, Machine::look(), cases, seed);
    let code = ci::run_steps("prop", &[step], true)?;
    say(&format!("the same cases again: cargo xtask prop --cases {cases} --replay {seed}"));
    Ok(code)
}

/// A seed nobody chose, short enough to be read out.
pub(crate) fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}
