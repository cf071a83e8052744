//! `cargo xtask loom`: every interleaving of the hand-written synchronisation, within a bound.
//!
//! The models are unit tests of `uds-actor` under a `cfg` of our own, built in a target directory of their own, because the
//! flag rebuilds everything. They take minutes, which is why `ci` leaves them out.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;

use crate::{
    ci,
    command::Command,
    flags,
    step::{Group, Proof, Step},
    workspace::Workspace,
};

/// Forced switches between threads that are explored; bugs of this kind need few.
const PREEMPTIONS: u32 = 2;

const LIMIT: Duration = Duration::from_secs(3600);

pub(crate) fn run(workspace: &Workspace, options: &flags::Loom) -> Result<ExitCode> {
    let target = workspace.target.join("loom");
    let arguments =
        ["test", "--release", "--locked", "--package", "uds-actor", "--lib", "loom_check", "--", "--nocapture"];
    let command = Command::cargo(arguments)
        .with_variable("RUSTFLAGS", "--cfg loom_check")
        .with_variable("CARGO_TARGET_DIR", target.display().to_string())
        .with_variable("LOOM_MAX_PREEMPTIONS", options.preemptions.unwrap_or(PREEMPTIONS).to_string());
    let step = Step::new("loom", Group::Test, LIMIT, vec![command]).proving(Proof::TestsRan);
    ci::run_steps("loom", &[step], true)
}
