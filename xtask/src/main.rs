//! `cargo xtask`: everything a developer or a builder does with this workspace, as one small program.
//!
//! What runs in CI is what runs here; the CI file only calls `cargo xtask ci` and `cargo xtask demo`.
//! Heavy work lives in other binaries of the workspace, so that this one compiles in seconds.

mod bench;
mod ci;
mod command;
mod console;
mod demo;
mod doctor;
mod flags;
mod fuzz;
mod help;
mod json;
mod loom;
mod need;
mod process;
mod prop;
mod step;
mod steps;
mod table;
mod tidy;
mod workspace;

use std::process::ExitCode;

use flags::XtaskCmd;
use workspace::Workspace;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            console::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if help::is_asked_for(&arguments) {
        console::say(help::TEXT.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let flags = match flags::Xtask::from_vec(arguments) {
        Ok(flags) => flags,
        Err(error) => {
            console::complain(&format!("error: {error}\n\n{}", help::TEXT.trim_end()));
            return Ok(ExitCode::from(2));
        }
    };
    let workspace = Workspace::open()?;
    match flags.subcommand {
        XtaskCmd::Ci(options) => ci::run(&workspace, &options),
        XtaskCmd::Tidy(_) => tidy::run(&workspace),
        XtaskCmd::Prop(options) => prop::run(&workspace, &options),
        XtaskCmd::Fuzz(options) => fuzz::run(&workspace, &options),
        XtaskCmd::Loom(options) => loom::run(&workspace, &options),
        XtaskCmd::Integration(_) => ci::integration(&workspace),
        XtaskCmd::Demo(options) => demo::run(&workspace, &options),
        XtaskCmd::Bench(options) => bench::run(&workspace, &options),
        XtaskCmd::Doctor(_) => doctor::run(&workspace),
    }
}
