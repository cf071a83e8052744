//! The options of `mpsr ls`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::values::place;

#[derive(Debug, ClapArgs)]
pub(crate) struct Ls {
    /// Directories of sockets, and sockets; "dir:" or "unix:" in front is fine.
    #[arg(value_name = "PATH", default_value = ".", value_parser = place())]
    pub(crate) paths: Vec<PathBuf>,
    /// Show names that begin with a dot, and symbolic links to sockets, too.
    #[arg(long, short = 'a')]
    pub(crate) all: bool,
    /// Show the sockets of the directories below, too.
    #[arg(long, short = 'R')]
    pub(crate) recursive: bool,
    /// Connect to sockets that the kernel's table does not show, to learn whether they are listened on. A server that
    /// serves only its first connection is lost to others by that.
    #[arg(long)]
    pub(crate) connect: bool,
    /// The default: connect to nothing.
    #[arg(long, hide = true, conflicts_with = "connect")]
    pub(crate) no_connect: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}
