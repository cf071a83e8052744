//! The options of `mpsr sweep`.

use std::{path::PathBuf, time::Duration};

use clap::Args as ClapArgs;

use super::values::{directory, seconds};

#[derive(Debug, ClapArgs)]
pub(crate) struct Sweep {
    /// The directory. You may write "dir:" in front.
    #[arg(value_name = "DIR", value_parser = directory())]
    pub(crate) directory: PathBuf,
    /// Only print what would be removed.
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Keep files that were made or changed less than this long ago: 10s, 2m, 1h, or a number of seconds. The minimum
    /// is 2s.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = seconds)]
    pub(crate) min_age: Duration,
    /// Remove sockets of every user, not only your own and root's.
    #[arg(long)]
    pub(crate) any_owner: bool,
    /// Remove also on FUSE, 9p, virtiofs, NFS and other shared filesystems, on overlay, and on unknown filesystems.
    /// There, a server may run in another kernel or behind another mount, and its socket looks stale from here. Use
    /// this only if you know that none does.
    #[arg(long)]
    pub(crate) any_filesystem: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}
