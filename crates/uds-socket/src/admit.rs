//! Who may connect: a list of users and groups, checked against what the kernel says of a peer.

use crate::peer::Peer;

/// Whom a listener lets in; everybody else is closed on and counted.
///
/// File permissions decide who *reaches* a socket, and abstract sockets have none; this decides who is *let in*.
/// Numbers only: looking up names can block for seconds where a network directory answers.
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
    anyone: bool,
    uids: Vec<u32>,
    gids: Vec<u32>,
}

impl Admit {
    /// This process's effective user, and root. The default.
    pub fn own() -> Self {
        Self::nobody().uid(0).uid(rustix::process::geteuid().as_raw())
    }

    /// Nobody yet: a list to add to, when even root must be named.
    pub fn nobody() -> Self {
        Self { anyone: false, uids: Vec::new(), gids: Vec::new() }
    }

    /// Whoever reaches the socket.
    pub fn anyone() -> Self {
        Self { anyone: true, ..Self::nobody() }
    }

    /// This user too.
    ///
    /// 65534 is not only a user's number, mostly that of `nobody`: the kernel gives it for every user who has none in our user
    /// namespace, so that whoever admits it admits all of them.
    #[must_use]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uids.push(uid);
        self
    }

    /// Whoever has this group as primary or supplementary group too.
    #[must_use]
    pub fn gid(mut self, gid: u32) -> Self {
        self.gids.push(gid);
        self
    }

    pub(crate) const fn is_anyone(&self) -> bool {
        self.anyone
    }

    /// Whether `peer` may come in.
    pub fn admits(&self, peer: &Peer) -> bool {
        self.anyone || self.uids.contains(&peer.uid()) || self.gids.iter().any(|gid| peer.in_group(*gid))
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
    fn lists_admit_whom_they_name_and_nobody_else() {
        let own = rustix::process::geteuid().as_raw();
        let stranger = Peer::new(own + 1000, 500, None, [27, 100]);
        let cases = [
            (Admit::default(), false),
            (Admit::own(), false),
            (Admit::nobody(), false),
            (Admit::anyone(), true),
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
            assert!(!Admit::nobody().admits(&known));
        }
    }
}
