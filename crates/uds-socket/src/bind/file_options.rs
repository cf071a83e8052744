//! Mode and owner of a socket file.

use rustix::fs::{Gid, Uid};

use crate::mode::Mode;

/// The requested properties of the socket file. By default: [`Mode::USER_ONLY`], and this process's user and group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FileOptions {
    pub(crate) mode: Option<Mode>,
    pub(crate) owner: Option<u32>,
    pub(crate) group: Option<u32>,
}

impl FileOptions {
    pub(crate) fn mode(self) -> Mode {
        self.mode.unwrap_or_default()
    }

    /// The mode with which to create the file: no wider than requested, even while it belongs to our own user and
    /// group. If those stay, it is the requested mode less the umask; a peer that comes before `listen` gets
    /// `ECONNREFUSED` and tries again.
    pub(crate) fn mode_to_begin_with(self) -> rustix::fs::Mode {
        let asked = self.mode().to_system();
        if self.has_owner() { asked & rustix::fs::Mode::RWXU } else { asked }
    }

    pub(crate) fn has_owner(self) -> bool {
        self.owner.is_some() || self.group.is_some()
    }

    pub(crate) fn owner(self) -> Option<Uid> {
        self.owner.map(Uid::from_raw)
    }

    pub(crate) fn group(self) -> Option<Gid> {
        self.group.map(Gid::from_raw)
    }
}
