//! `cargo xtask demo`: builds the tool and the demo in release mode, and then becomes the demo.
//!
//! The demo itself is a binary of the tests package: it needs an async runtime and a JSON parser, which this program
//! must not have.

use std::{os::unix::process::CommandExt, process::ExitCode};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{
    console::say,
    flags,
    steps::TESTS,
    workspace::{self, Workspace},
};

pub(crate) fn run(workspace: &Workspace, options: &flags::Demo) -> Result<ExitCode> {
    let shell = Shell::new()?;
    let cargo = workspace::cargo();
    say("building mpsr and the demo in release");
    // One build: two would choose dependencies' features differently and compile them twice.
    cmd!(shell, "{cargo} build --release --locked --package mpsr --bin mpsr --package {TESTS} --bin demo")
        .run()
        .context("the demo does not build")?;

    let binaries = workspace.target.join("release");
    let mut demo = std::process::Command::new(binaries.join("demo"));
    demo.arg("--mpsr").arg(binaries.join("mpsr")).arg("--sources").arg(&workspace.root);
    if let Some(timeout) = options.timeout {
        demo.arg("--timeout").arg(timeout.to_string());
    }
    // From here on the demo gets the signals and gives the exit code.
    let error = demo.exec();
    bail!("cannot start {}: {error}", binaries.join("demo").display())
}
