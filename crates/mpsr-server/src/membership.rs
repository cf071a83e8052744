//! Membership: how producers are announced to a funnel.

use std::fmt;

use uds_actor::Address;

/// A change to the set of members.
///
/// This type belongs to the funnel. Any source of members, such as a watcher of a directory, a registry or a list in a
/// file, can be adapted into a stream of it.
///
/// A member that returns is announced again, as `Left` and then `Joined` with another generation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Membership<A> {
    /// The member is there from now on.
    Joined(A),
    /// The member is gone.
    Left(A),
    /// Every member that was there at the start has been announced; or, after `Degraded`, the list is complete again.
    Synced,
    /// The list may be out of date, for this reason. No member counts as gone because of it.
    Degraded(String),
}

/// A socket that offers messages to its clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The socket's address.
    pub address: Address,
    /// Distinguishes it from other sockets that had the same address before.
    pub generation: u64,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
