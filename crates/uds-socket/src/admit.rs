//! Which peers may connect: a list of users and groups, compared with the peer's identity from the kernel.

use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::Stat;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use socket_file::overflow;

use crate::peer::Peer;
use crate::sys;
use crate::warning::Warning;

/// Which peers a listener admits. It closes and counts the connections of all others.
///
/// File permissions decide which users can *reach* a socket, and abstract sockets have none. This list decides which
/// users are *admitted*. By default, the two agree: see [`Bind::admit`](crate::Bind::admit).
///
/// The list contains numbers only, because looking up names can block for seconds when a network directory is involved.
///
/// ```
/// use uds_socket::{Admit, Peer};
///
/// let admit = Admit::own().uid(1000).gid(27);
/// assert!(admit.admits(&Peer::new(1000, 1000, None, [])));
/// assert!(admit.admits(&Peer::new(1001, 1001, None, [4, 27])));
/// assert!(!admit.admits(&Peer::new(1001, 1001, None, [])));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admit {
    any: bool,
    uids: Vec<u32>,
    gids: Vec<u32>,
    /// Our own user was to be admitted, but has an id that does not identify one user.
    lacks_own: bool,
}

impl Admit {
    /// This process's effective user, and root.
    ///
    /// In a user namespace that does not map every id, as in most containers, the kernel represents every user without
    /// an id there as 65534 (`/proc/sys/kernel/overflowuid`). That id does not identify one user, so it is not
    /// admitted, even if this process runs as it. Add it with [`uid`](Self::uid) if you know all users that can reach
    /// the socket. If root is not mapped, no peer has uid 0, and the root outside is one of those users.
    pub fn own() -> Self {
        let (admit, own) = (Self::none().uid(0), rustix::process::geteuid().as_raw());
        if overflow::is_many_users(own) { Self { lacks_own: true, ..admit } } else { admit.uid(own) }
    }

    /// An empty list to add to, if not even root should be admitted by default.
    pub fn none() -> Self {
        Self { any: false, uids: Vec::new(), gids: Vec::new(), lacks_own: false }
    }

    /// Every peer that reaches the socket.
    pub fn any() -> Self {
        Self { any: true, ..Self::none() }
    }

    /// The list that agrees with a file's permissions: our own user and root, and the file's owner, its group and
    /// everyone, as far as they may write to it. A group whose id may stand for many (see [`own`](Self::own)) is left
    /// out.
    pub(crate) fn as_permitted(file: &Stat) -> Self {
        const GROUP_WRITES: u32 = 0o020;
        const OTHERS_WRITE: u32 = 0o002;
        if file.st_mode & OTHERS_WRITE != 0 {
            return Self::any();
        }
        let mut admit = Self::own();
        if !overflow::is_many_users(file.st_uid) {
            admit = admit.uid(file.st_uid);
        }
        if file.st_mode & GROUP_WRITES != 0 && !overflow::is_many_groups(file.st_gid) {
            admit = admit.gid(file.st_gid);
        }
        admit
    }

    /// Adds a user.
    ///
    /// 65534 usually is the id of the user `nobody`, but the kernel also uses it for every user without an id in our
    /// user namespace. If you admit it, you may admit all of them.
    #[must_use]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uids.push(uid);
        self
    }

    /// Adds the users who have this group as their primary group or as a supplementary one. For 65534, see
    /// [`uid`](Self::uid).
    #[must_use]
    pub fn gid(mut self, gid: u32) -> Self {
        self.gids.push(gid);
        self
    }

    /// Why this list may not admit everyone that it should, on this system. A listener includes these in its
    /// [warnings](crate::BlockingListener::warnings). Call this yourself if you check the peers of connections that you
    /// have made.
    pub fn warnings(&self) -> Vec<Warning> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        self.warnings_on(socket.as_ref().ok().map(|socket| socket.as_fd()))
    }

    /// The same, with a socket on which to query groups.
    pub(crate) fn warnings_on(&self, socket: Option<BorrowedFd<'_>>) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.any {
            return warnings;
        }
        if !self.gids.is_empty() && socket.is_some_and(|socket| matches!(sys::peer_groups(socket), Ok(None))) {
            warnings.push(Warning::NoPeerGroups);
        }
        let uid = rustix::process::geteuid().as_raw();
        if self.lacks_own && !self.uids.contains(&uid) {
            warnings.push(Warning::OverflowUser { uid });
        }
        warnings
    }

    #[cfg(feature = "tokio")]
    pub(crate) const fn is_any(&self) -> bool {
        self.any
    }

    /// Whether `peer` is admitted.
    pub fn admits(&self, peer: &Peer) -> bool {
        self.any || self.uids.contains(&peer.uid()) || self.gids.iter().any(|gid| peer.in_group(*gid))
    }
}

impl Default for Admit {
    fn default() -> Self {
        Self::own()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_admit_those_they_name_and_no_others() {
        let own = rustix::process::geteuid().as_raw();
        let stranger = Peer::new(own + 1000, 500, None, [27, 100]);
        let cases = [
            (Admit::default(), false),
            (Admit::own(), false),
            (Admit::none(), false),
            (Admit::any(), true),
            (Admit::own().uid(own + 1000), true),
            (Admit::own().uid(500), false),
            (Admit::own().gid(500), true),
            (Admit::own().gid(100), true),
            (Admit::own().gid(own + 1000), false),
        ];
        for (admit, expected) in cases {
            assert_eq!(admit.admits(&stranger), expected, "{admit:?}");
        }
        for uid in [0, own] {
            let known = Peer::new(uid, 500, None, []);
            assert!(Admit::own().admits(&known));
            assert!(!Admit::none().admits(&known));
        }
    }

    #[test]
    fn what_a_file_permits_is_admitted() {
        let own = rustix::process::geteuid().as_raw();
        let mut file = rustix::fs::stat("/").unwrap();
        (file.st_uid, file.st_gid) = (own + 1, 777);
        let owner = Peer::new(own + 1, 1, None, []);
        let member = Peer::new(own + 2, 1, None, [777]);
        let other = Peer::new(own + 3, 1, None, []);
        for (mode, expected) in [(0o600, [true, false, false]), (0o660, [true, true, false]), (0o666, [true; 3])] {
            file.st_mode = mode;
            let admit = Admit::as_permitted(&file);
            assert_eq!([&owner, &member, &other].map(|peer| admit.admits(peer)), expected, "{mode:o}");
            assert!(admit.admits(&Peer::new(own, 1, None, [])));
        }
    }
}
