//! Names that begin with a dot.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What to do with names that begin with a dot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DotFiles {
    /// They are skipped: servers that publish a finished socket by renaming it first bind it under such a name.
    #[default]
    Ignored,
    /// They are treated like all other names.
    Reported,
}

impl DotFiles {
    /// Whether to consider a file with this name.
    pub fn admit(self, name: &OsStr) -> bool {
        match self {
            Self::Ignored => name.as_bytes().first() != Some(&b'.'),
            Self::Reported => true,
        }
    }
}
