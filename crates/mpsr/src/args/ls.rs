//! The options of `mpsr ls`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::values::directory;

#[derive(Debug, ClapArgs)]
pub(crate) struct Ls {
    /// The directory, with or without "dir:" in front.
    #[arg(value_name = "DIR", value_parser = directory)]
    pub(crate) directory: PathBuf,
    /// Connect to nothing: what the kernel's table does not have is "unknown".
    #[arg(long)]
    pub(crate) no_connect: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}
