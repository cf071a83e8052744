//! Mode and owner of a socket's file.

use rustix::fs::{Gid, Uid};

use crate::mode::Mode;

/// What the socket's file shall be like; nothing set means [`Mode::USER_ONLY`] and this process's user and group.
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

    /// With which mode its file is created: no wider than asked, also while it belongs to our own user and group. Where they
    /// stay, it is what was asked for, less the umask, so that a peer that comes before `listen` is refused and tries again.
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
