//! The options of `mpsr sweep`.

use std::{path::PathBuf, time::Duration};

use clap::Args as ClapArgs;

use super::values::{directory, seconds};

#[derive(Debug, ClapArgs)]
pub(crate) struct Sweep {
    /// The directory, with or without "dir:" in front.
    #[arg(value_name = "DIR", value_parser = directory)]
    pub(crate) directory: PathBuf,
    /// Only say what would be removed.
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Keep what was made or changed less than so long ago, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) min_age: Duration,
    /// Remove sockets of every user, and not only one's own and root's.
    #[arg(long)]
    pub(crate) any_owner: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}
