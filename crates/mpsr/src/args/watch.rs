//! The options of `mpsr watch`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::values::directory;

#[derive(Debug, ClapArgs)]
pub(crate) struct Watch {
    /// The directory, with or without "dir:" in front.
    #[arg(value_name = "DIR", value_parser = directory())]
    pub(crate) directory: PathBuf,
    /// Show names that begin with a dot, too.
    #[arg(long, short = 'a')]
    pub(crate) all: bool,
    /// Show the sockets of the directories below, too, of 256 at most.
    #[arg(long, short = 'R')]
    pub(crate) recursive: bool,
    /// Connect to sockets that the kernel's table does not show, now and then, to learn whether they are listened on. A
    /// server that serves only its first connection is lost to others by that.
    #[arg(long)]
    pub(crate) connect: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}
