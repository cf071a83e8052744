//! Names that begin with a dot.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Whether names that begin with a dot count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DotFiles {
    /// They are passed over: servers that publish a finished socket by renaming it bind it under such a
    /// name first.
    #[default]
    Ignored,
    /// They are sockets like all others.
    Reported,
}

impl DotFiles {
    /// Whether a file of this name counts.
    pub fn admit(self, name: &OsStr) -> bool {
        match self {
            Self::Ignored => name.as_bytes().first() != Some(&b'.'),
            Self::Reported => true,
        }
    }
}
