//! The options of `mpsr watch`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::values::directory;

#[derive(Debug, ClapArgs)]
pub(crate) struct Watch {
    /// The directory. You may write "dir:" in front.
    #[arg(value_name = "DIR", value_parser = directory())]
    pub(crate) directory: PathBuf,
    /// Show names that begin with a dot, too.
    #[arg(long, short = 'a')]
    pub(crate) all: bool,
    /// Show the sockets of the directories below, too, for at most 256 directories.
    #[arg(long, short = 'R')]
    pub(crate) recursive: bool,
    /// Connect repeatedly to sockets that the kernel's table does not show, to find out whether a server listens on
    /// them. If a server serves only its first connection, this uses it up.
    #[arg(long)]
    pub(crate) connect: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}
