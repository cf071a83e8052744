//! `cargo xtask api`: what the public interface is, and what a change to it breaks.

use std::process::ExitCode;

use anyhow::Result;

use crate::{flags, workspace::Workspace};

pub(crate) fn run(_workspace: &Workspace, _options: &flags::Api) -> Result<ExitCode> {
    Ok(ExitCode::FAILURE)
}
