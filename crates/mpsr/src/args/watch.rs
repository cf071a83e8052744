//! The options of `mpsr watch`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::values::directory;

#[derive(Debug, ClapArgs)]
pub(crate) struct Watch {
    /// The directory, with or without "dir:" in front.
    #[arg(value_name = "DIR", value_parser = directory)]
    pub(crate) directory: PathBuf,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}
