//! The options of `mpsr sweep`.

use std::{path::PathBuf, time::Duration};

use clap::Args as ClapArgs;

use super::values::{directory, seconds};

#[derive(Debug, ClapArgs)]
pub(crate) struct Sweep {
    /// The directory, with or without "dir:" in front.
    #[arg(value_name = "DIR", value_parser = directory())]
    pub(crate) directory: PathBuf,
    /// Only say what would be removed.
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Keep what was made or changed less than so long ago: 10s, 2m, 1h, or a number of seconds. Never less than two.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = seconds)]
    pub(crate) min_age: Duration,
    /// Remove sockets of every user, and not only one's own and root's.
    #[arg(long)]
    pub(crate) any_owner: bool,
    /// Remove also on FUSE, 9p, virtiofs, NFS and other shared filesystems, on overlay and on unknown filesystems, where the
    /// server of a socket may run in another kernel or behind another mount and looks dead from here. Only if you know that
    /// none does.
    #[arg(long)]
    pub(crate) any_filesystem: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}
