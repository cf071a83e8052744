//! The options of `mpsr ls`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::values::place;

#[derive(Debug, ClapArgs)]
pub(crate) struct Ls {
    /// Directories of sockets, and sockets. You may write "dir:" or "unix:" in front.
    #[arg(value_name = "PATH", default_value = ".", value_parser = place())]
    pub(crate) paths: Vec<PathBuf>,
    /// Show names that begin with a dot, and symbolic links to sockets, too.
    #[arg(long, short = 'a')]
    pub(crate) all: bool,
    /// Show the sockets of the directories below, too.
    #[arg(long, short = 'R')]
    pub(crate) recursive: bool,
    /// Connect to sockets that the kernel's table does not show, to find out whether a server listens on them. If a
    /// server serves only its first connection, this uses it up.
    #[arg(long)]
    pub(crate) connect: bool,
    /// Do not connect to any socket. This is the default.
    #[arg(long, hide = true, conflicts_with = "connect")]
    pub(crate) no_connect: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}
