//! Who is there: the vocabulary in which producers are announced to a funnel.

use std::fmt;

use uds_actor::Address;

/// One change in who is there.
///
/// The funnel owns this vocabulary; watchers of directories, of a registry or of a list in a file convert into it, and a
/// stream of it is all they have to offer.
///
/// A member that comes back is announced again, as `Left` and then `Joined` with another generation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Membership<A> {
    /// It is there from now on.
    Joined(A),
    /// It is gone.
    Left(A),
    /// Every member that was there at the start has been announced; or, after `Degraded`, the list is complete again.
    Synced,
    /// The list may be out of date, and why. No member counts as gone because of it.
    Degraded(String),
}

/// A socket that offers messages to its clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// Tells it from others that had the same address before.
    pub generation: u64,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
