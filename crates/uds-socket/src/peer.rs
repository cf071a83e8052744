//! The identity of the peer of a Unix socket, from the kernel and without a name service.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::error::PeerError;
use crate::sys;

/// The identity the kernel recorded for the other end of a connection (`SO_PEERCRED`, `SO_PEERGROUPS`; `unix(7)`).
///
/// The identity is that *at the time of the call that made the connection*, and does not change when the descriptor is
/// passed on or the process changes its user:
///
/// | for | it is the process that called |
/// |---|---|
/// | an accepted connection | `connect` |
/// | a connection made with `connect` | `listen`; under socket activation that is the service manager, not the service |
/// | either end of a `socketpair` | `socketpair` |
///
/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    uid: u32,
    gid: u32,
    pid: Option<u32>,
    groups: Arc<[u32]>,
}

impl Peer {
    /// Asks the kernel for the peer of `socket`.
    ///
    /// # Errors
    /// [`PeerError`] if `socket` is not a Unix socket.
    pub fn of(socket: impl AsFd) -> Result<Self, PeerError> {
        let socket = socket.as_fd();
        let failed = |source| PeerError { source };
        let credentials = sys::peer_credentials(socket).map_err(failed)?;
        let groups = sys::peer_groups(socket).map_err(failed)?.unwrap_or_default();
        let pid = u32::try_from(credentials.pid).ok();
        Ok(Self::new(credentials.uid, credentials.gid, pid, groups))
    }

    /// An identity from another source: from a test, or from a transport that is not a Unix socket.
    ///
    /// A `pid` of 0 counts as none: the kernel uses it for a process outside our pid namespace.
    pub fn new(uid: u32, gid: u32, pid: Option<u32>, groups: impl Into<Arc<[u32]>>) -> Self {
        Self { uid, gid, pid: pid.filter(|pid| *pid != 0), groups: groups.into() }
    }

    /// A descriptor for the process at the other end of `socket` (`SO_PEERPIDFD`, Linux 6.5).
    ///
    /// Unlike a [`pid`](Self::pid), it never comes to mean another process: what you read from `/proc/PID` belongs to
    /// the peer if the pidfd shows afterwards that the process still exists. It is created only on demand, because it
    /// costs a descriptor. `None` if the kernel cannot provide one.
    ///
    /// # Errors
    /// [`PeerError`] if `socket` is not a Unix socket, or no descriptor is free.
    pub fn pidfd(socket: impl AsFd) -> Result<Option<OwnedFd>, PeerError> {
        sys::peer_pidfd(socket.as_fd()).map_err(|source| PeerError { source })
    }

    /// Effective user id.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Effective (primary) group id.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Process id in our pid namespace, if it has one. By the time you use it, it may mean another process.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Supplementary group ids; empty if the kernel does not report them ([`Warning::NoPeerGroups`](crate::Warning)).
    pub fn groups(&self) -> &[u32] {
        &self.groups
    }

    /// Whether `gid` is the primary or a supplementary group.
    pub fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "pid {pid} (uid {}, gid {})", self.uid, self.gid),
            None => write!(f, "uid {}, gid {}", self.uid, self.gid),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_kernel_says_who_made_a_socket_pair() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let peer = Peer::of(&ours).unwrap();
        assert_eq!(peer.uid(), rustix::process::geteuid().as_raw());
        assert_eq!(peer.gid(), rustix::process::getegid().as_raw());
        assert_eq!(peer.pid(), Some(std::process::id()));
        let own: Vec<u32> = rustix::process::getgroups().unwrap().iter().map(|gid| gid.as_raw()).collect();
        assert_eq!(peer.groups(), own);
        assert!(peer.in_group(peer.gid()));
    }

    #[test]
    fn many_supplementary_groups_are_all_reported() {
        // Only root may choose its groups; other users see those that they have. Groups belong to threads in Linux, so
        // this thread's groups affect no other test.
        let (chosen, peer) = std::thread::spawn(|| {
            if rustix::process::geteuid().is_root() {
                let groups: Vec<_> = (1..=300).map(rustix::fs::Gid::from_raw).collect();
                rustix::thread::set_thread_groups(&groups).unwrap();
            }
            (rustix::process::getgroups().unwrap(), Peer::of(UnixStream::pair().unwrap().0).unwrap())
        })
        .join()
        .unwrap();
        assert_eq!(peer.groups(), chosen.iter().map(|gid| gid.as_raw()).collect::<Vec<_>>());
        assert!(chosen.iter().all(|gid| peer.in_group(gid.as_raw())));
        assert!(!peer.in_group(u32::MAX - 1));
    }

    #[test]
    fn what_is_not_a_unix_socket_has_no_peer() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(matches!(Peer::of(&file), Err(PeerError { .. })));
        assert!(matches!(Peer::pidfd(&file), Err(PeerError { .. })));
    }

    #[test]
    fn a_peer_without_a_pid_here_says_so() {
        assert_eq!(Peer::new(7, 8, Some(0), []).pid(), None);
        assert_eq!(Peer::new(7, 8, Some(0), []).to_string(), "uid 7, gid 8");
        assert_eq!(Peer::new(7, 8, Some(9), []).to_string(), "pid 9 (uid 7, gid 8)");
    }
}
